"""LaSOT: `airplane/airplane-1/img/00000001.jpg` with groundtruth.txt, full_occlusion.txt and out_of_view.txt."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from training.datasets.layout import Layout, Split, subfolders
from training.datasets.textfiles import numbered_frames, read_flags, read_numbers, read_table, sequence_track
from training.datasets.tracks import DataInvalid, Track

PER_CLASS = 20
# fmt: off
EXTENSION = frozenset((
    "atv", "badminton", "cosplay", "dancingshoe", "footbag", "frisbee", "jianzi", "lantern", "misc", "opossum",
    "paddle", "raccoon", "rhino", "skatingshoe", "wingsuit",
))
# fmt: on
"""Classes of LaSOT_ext, which is for evaluation only."""
_SPLITS = {"train": Split(1120), "test": Split(280), "ext": Split(150)}
_NAME = re.compile(r"([A-Za-z]+)-\d+$")


def _matches(root: Path) -> bool:
    return any((path / "full_occlusion.txt").is_file() for path in _folders(root).values())


def _folders(root: Path) -> dict[str, Path]:
    """Sequence folders by name: in folders of their classes, or side by side."""
    found = {path.name: path for path in subfolders(root) if _NAME.match(path.name)}
    for category in subfolders(root):
        found |= {path.name: path for path in subfolders(category) if path.name.startswith(f"{category.name}-")}
    return found


def _official(split: str) -> list[str]:
    """The names of the train or the test split."""
    names = []
    for category, *test in read_table("lasot.txt"):
        wanted = (n for n in range(1, PER_CLASS + 1) if (str(n) in test) == (split == "test"))
        names += [f"{category}-{number}" for number in wanted]
    return names


def _present(root: Path) -> list[str]:
    found = set(_folders(root))
    splits = [split for split in ("train", "test") if found & set(_official(split))]
    return splits + (["ext"] if any(_category(name) in EXTENSION for name in found) else [])


def _sequences(root: Path, split: str) -> list[str]:
    if split != "ext":
        return _official(split)
    return [name for name in sorted(_folders(root)) if _category(name) in EXTENSION]


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    category = _category(name)
    folder = next((path for path in (root / category / name, root / name) if path.is_dir()), None)
    if folder is None:
        raise DataInvalid(f"{root / category / name}: is missing")
    truth = folder / "groundtruth.txt"
    boxes = read_numbers(truth, (4,))
    # One line of 0 and 1, in some copies one value a line.
    hidden, outside = (read_flags(folder / file, len(boxes)) for file in ("full_occlusion.txt", "out_of_view.txt"))
    gone = np.asarray((hidden == 1) | (outside == 1))
    frames = numbered_frames(folder / "img")
    yield sequence_track("lasot", name, folder / "img", frames, boxes, truth=truth, hidden=gone, category=category)


def _category(name: str) -> str:
    return name.rpartition("-")[0]


LAYOUT = Layout(
    "lasot",
    "LaSOT",
    "http://vision.cs.stonybrook.edu/~lasot (also huggingface.co/datasets/l-lt/LaSOT and l-lt/LaSOT-ext)",
    _SPLITS,
    ("train",),
    _matches,
    _present,
    _sequences,
    _tracks,
    "there is one zip for each class; each holds its 16 training and 4 test sequences",
)
