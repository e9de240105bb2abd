"""GOT-10k: `train/GOT-10k_Train_000001/00000001.jpg` with groundtruth.txt and labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets.layout import Layout, Split, subfolders
from training.datasets.textfiles import (
    numbered_frames,
    read_flags,
    read_lines,
    read_names,
    read_numbers,
    sequence_track,
)
from training.datasets.tracks import DataInvalid, Track

_SPLITS = {"train": Split(9335), "val": Split(180), "test": Split(180)}
_NAME = re.compile(r"GOT-10k_(Train|Val|Test)_(\d{6}|split_\d\d)$")
_ALL_VISIBLE = 8
"""cover.label counts the visible share of the target in eighths."""
_GROUPS = ("root_class", "motion_class")


def _folder(root: Path, split: str) -> Path:
    """The split's folder: one of root's, or root itself."""
    return root / split if (root / split).is_dir() else root


def _matches(root: Path) -> bool:
    return bool(_present(root))


def _present(root: Path) -> list[str]:
    found = []
    for split in _SPLITS:
        names = (match[1] for path in subfolders(_folder(root, split)) if (match := _NAME.match(path.name)))
        if next(names, "").lower() == split:
            found.append(split)
    return found


def _sequences(root: Path, split: str) -> list[str]:
    folder = _folder(root, split)
    if (names := folder / "list.txt").is_file():
        return read_names(names)
    parts = [part for part in subfolders(folder) if "_split_" in part.name]
    return sorted(path.name for part in (folder, *parts) for path in subfolders(part) if "_split_" not in path.name)


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    folder = _sequence_folder(_folder(root, split), name)
    truth = folder / "groundtruth.txt"
    boxes, frames = read_numbers(truth, (4,)), numbered_frames(folder)
    hidden, test = None, split == "test"
    if not test:  # which has the first box alone
        absent = read_flags(folder / "absence.label", len(boxes))
        cover = read_flags(folder / "cover.label", len(boxes), largest=_ALL_VISIBLE)
        hidden = np.asarray((absent == 1) | (cover == 0))
    category = _meta(folder / "meta_info.ini").get("object_class")
    yield sequence_track(
        "got10k", name, folder, frames, boxes, truth=truth, hidden=hidden, category=category, first_alone=test
    )


def read_tags(folder: Path, count: int) -> dict[str, NDArray[np.bool_]]:
    """(count,) by name: the frames in which the target is cut by the picture's edge, and partly covered."""
    cover = read_flags(folder / "cover.label", count, largest=_ALL_VISIBLE)
    return {
        "cut_by_image": np.asarray(read_flags(folder / "cut_by_image.label", count) == 1),
        "partly_covered": np.asarray((cover > 0) & (cover < _ALL_VISIBLE)),
    }


def read_attributes(folder: Path) -> frozenset[str]:
    """What meta_info.ini says of the whole sequence, as `key: value`; of those keys that group many sequences."""
    known = _meta(folder / "meta_info.ini")
    return frozenset(f"{key}: {known[key]}" for key in _GROUPS if key in known)


def _sequence_folder(folder: Path, name: str) -> Path:
    """Some copies keep the 19 folders of the downloads: GOT-10k_Train_split_01/GOT-10k_Train_000001."""
    candidates = (folder / name, *folder.glob(f"GOT-10k_*_split_*/{name}"))
    for path in candidates:
        if path.is_dir():
            return path
    raise DataInvalid(f"{folder / name}: is missing")


def _meta(path: Path) -> dict[str, str]:
    """The `key: value` lines of meta_info.ini; nothing where there is no such file (test split)."""
    if not path.is_file():
        return {}
    pairs = (line.partition(":") for line in read_lines(path) if ":" in line)
    return {key.strip(): value.strip() for key, _, value in pairs}


LAYOUT = Layout(
    "got10k",
    "GOT-10k",
    "http://got-10k.aitestunion.com (free registration; CC BY-NC-SA 4.0)",
    _SPLITS,
    ("train",),
    _matches,
    _present,
    _sequences,
    _tracks,
    "unpack GOT-10k_Train_split_01.zip … 19.zip into one folder train/, with list.txt",
)
