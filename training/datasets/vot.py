"""VOT short-term challenges: `list.txt`, `ants1/color/00000001.jpg` and `ants1/groundtruth.txt`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets.layout import Layout, Split
from training.datasets.textfiles import numbered_frames, read_lines, read_names, read_numbers, sequence_track
from training.datasets.tracks import DataInvalid, Track

TAGS = ("camera_motion", "illum_change", "occlusion", "size_change", "motion_change")
_SPLITS = {"vot2018": Split(60, 21356), "vot2019": Split(60, 19935), "vot": Split()}


def _matches(root: Path) -> bool:
    if not (root / "list.txt").is_file():
        return False
    return any((root / name / "groundtruth.txt").is_file() for name in _names(root)[:60])


def _names(root: Path) -> list[str]:
    try:
        return read_names(root / "list.txt")
    except DataInvalid:
        return []


def _present(root: Path) -> list[str]:
    """The year by sequences that only it has."""
    names = set(_names(root))
    if "agility" in names:
        return ["vot2019"]
    return ["vot2018"] if "ants3" in names else ["vot"]


def _sequences(root: Path, split: str) -> list[str]:
    return read_names(root / "list.txt")


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    folder, truth = root / name, root / name / "groundtruth.txt"
    if not folder.is_dir():
        raise DataInvalid(f"{folder}: is missing")
    # Older years have the frames beside the truth.
    pictures = folder / "color" if (folder / "color").is_dir() else folder
    regions = read_numbers(truth, (8, 4))
    polygons = regions if regions.shape[1] == 8 else None
    boxes = regions if polygons is None else enclosing_boxes(polygons)
    frames = numbered_frames(pictures)
    yield sequence_track("vot", name, pictures, frames, boxes, truth=truth, polygons=polygons)


def enclosing_boxes(polygons: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 8) corners -> (N, 4) the smallest upright boxes around them; NaN stays NaN."""
    corners = polygons.reshape(-1, 4, 2)
    low, high = corners.min(axis=1), corners.max(axis=1)
    return np.concatenate([low, high - low], axis=1)


def tag_names(folder: Path) -> list[str]:
    """The tags that a sequence has a file of, whatever they are: long-term challenges have others than TAGS."""
    return sorted({path.stem for path in folder.iterdir() if path.suffix in (".tag", ".label")})


def read_tags(folder: Path, count: int, names: Sequence[str] = TAGS) -> dict[str, NDArray[np.bool_]]:
    """(count,) for each of the names: the frames that have it. A file may end early; the rest, or no file, means no."""
    tags = {}
    for tag in names:
        path = next((folder / f"{tag}{end}" for end in (".tag", ".label") if (folder / f"{tag}{end}").is_file()), None)
        flags = np.zeros(count, np.bool_)
        for number, line in enumerate(read_lines(path)[:count] if path else ()):
            if line not in ("0", "1"):
                raise DataInvalid(f"{path}, line {number + 1}: {line!r} is neither 0 nor 1")
            flags[number] = line == "1"
        tags[tag] = flags
    return tags


LAYOUT = Layout(
    "vot",
    "VOT short-term",
    "https://votchallenge.net (each sequence has its own licence; research only)",
    _SPLITS,
    (),
    _matches,
    _present,
    _sequences,
    _tracks,
    "the frames of a sequence belong into NAME/color/, its annotations into NAME/",
)
