"""TrackingNet: chunks `TRAIN_0` … `TRAIN_11` and `TEST` with `frames/NAME/0.jpg` and `anno/NAME.txt`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from training.datasets.layout import Layout, Split, subfolders
from training.datasets.textfiles import numbered_frames, read_numbers, sequence_track
from training.datasets.tracks import DataInvalid, Track

CHUNKS = 12
_SPLITS = {f"train_{chunk}": Split(2511) for chunk in range(CHUNKS)} | {"test": Split(511)}
_NAME = re.compile(r"(train_\d+|test)$", re.IGNORECASE)


def _chunks(root: Path) -> dict[str, Path]:
    """The folders by split; upper and lower case both occur."""
    return {path.name.lower(): path for path in subfolders(root) if _NAME.match(path.name) and (path / "anno").is_dir()}


def _present(root: Path) -> list[str]:
    chunks = _chunks(root)
    return [split for split in _SPLITS if split in chunks]


def _matches(root: Path) -> bool:
    return any((path / "frames").is_dir() or (path / "zips").is_dir() for path in _chunks(root).values())


def _sequences(root: Path, split: str) -> list[str]:
    return sorted(path.stem for path in (_chunks(root)[split] / "anno").glob("*.txt") if not path.name.startswith("._"))


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    chunk = _chunks(root)[split]
    truth, folder = chunk / "anno" / f"{name}.txt", chunk / "frames" / name
    if not folder.is_dir():
        zipped = chunk / "zips" / f"{name}.zip"
        raise DataInvalid(f"{folder}: is missing" + (f"; unpack {zipped}" if zipped.is_file() else ""))
    # The name is a YouTube id, which may hold "_" itself, and the number of the object.
    video = f"youtube/{name.rpartition('_')[0]}"
    frames, boxes = numbered_frames(folder), read_numbers(truth, (4,))
    first_alone = split == "test"
    yield sequence_track("trackingnet", name, folder, frames, boxes, truth=truth, scene=video, first_alone=first_alone)


LAYOUT = Layout(
    "trackingnet",
    "TrackingNet",
    "https://tracking-net.org (its devkit and huggingface.co/datasets/SilvioGiancola/TrackingNet)",
    _SPLITS,
    tuple(split for split in _SPLITS if split != "test"),
    _matches,
    _present,
    _sequences,
    _tracks,
    "each sequence is a zip in zips/; unpack NAME.zip into frames/NAME/",
)
