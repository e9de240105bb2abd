"""COCO 2017: `train2017/000000000009.jpg` and `annotations/instances_train2017.json`. Every object is a still.

Crowds are left out, as in pytracking and mmtracking: their box surrounds many things.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from training.datasets.ilsvrc import still
from training.datasets.layout import Layout, Split
from training.datasets.tracks import DataInvalid, Files, Track

_SPLITS = {"train": Split(1), "val": Split(1)}


def _truth(root: Path, split: str) -> Path:
    return root / "annotations" / f"instances_{split}2017.json"


def _present(root: Path) -> list[str]:
    return [split for split in _SPLITS if _truth(root, split).is_file()]


def _sequences(root: Path, split: str) -> list[str]:
    return [f"{split}2017"]


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    path = _truth(root, split)
    content = _content(path)
    try:
        categories = {category["id"]: str(category["name"]) for category in content["categories"]}
        rows = {image["id"]: row for row, image in enumerate(content["images"])}
        pictures = Files(root / name, tuple(str(image["file_name"]) for image in content["images"]))
    except (KeyError, TypeError) as error:
        raise DataInvalid(f"{path}: images or categories lack {error}") from error
    seen: Counter[int] = Counter()
    for number, found in enumerate(content["annotations"]):
        try:
            if found["iscrowd"]:
                continue
            row = rows[found["image_id"]]
            x, y, w, h = map(float, found["bbox"])
            category = categories[found["category_id"]]
        except (KeyError, TypeError, ValueError) as error:
            raise DataInvalid(f"{path}: annotation {number} (id {found.get('id')}): {error!r}") from error
        picture = f"{name}/{Path(pictures.names[row]).stem}"
        yield still("coco", picture, seen[row], category, pictures, row, (x, y, w, h))
        seen[row] += 1


def _content(path: Path) -> Mapping[str, Any]:
    try:
        content: Mapping[str, Any] = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise DataInvalid(f"{path}, line {error.lineno}: {error.msg}") from error
    if not isinstance(content, dict) or (missing := {"images", "annotations", "categories"} - set(content)):
        raise DataInvalid(f"{path}: lacks {'an object' if not isinstance(content, dict) else sorted(missing)[0]!r}")
    return content


LAYOUT = Layout(
    "coco",
    "COCO 2017",
    "https://cocodataset.org (annotations CC BY 4.0, pictures under Flickr's terms)",
    _SPLITS,
    ("train",),
    lambda root: bool(_present(root)),
    _present,
    _sequences,
    _tracks,
    "a sequence is an annotation file; train2017/ has 118,287 pictures, val2017/ 5,000",
)
