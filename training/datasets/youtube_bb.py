"""YouTube-BoundingBoxes: `yt_bb_detection_train.csv[.gz]`, frames `yt_bb_detection_train/7/ID_MS_7_OBJECT.jpg`.

The owner publishes the table only, and many videos are gone: frames that are not there are left out.
"""

from __future__ import annotations

import csv
import gzip
from array import array
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from math import nan
from pathlib import Path

import numpy as np

from training.datasets.layout import Layout, Split
from training.datasets.textfiles import file_names
from training.datasets.tracks import DataInvalid, Files, Track, has_area, picture_size

_SPLITS = {"train": Split(1), "validation": Split(1)}
_COLUMNS = 10
_Key = tuple[str, str, str]
"""YouTube id, class id, object id: one track. The YouTube id alone is not enough."""


def _table(root: Path, split: str) -> Path | None:
    names = (f"yt_bb_detection_{split}.csv", f"yt_bb_detection_{split}.csv.gz")
    return next((root / name for name in names if (root / name).is_file()), None)


def _present(root: Path) -> list[str]:
    return [split for split in _SPLITS if _table(root, split) is not None]


def _sequences(root: Path, split: str) -> list[str]:
    return [f"yt_bb_detection_{split}"]


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    path = _table(root, split)
    if path is None:
        raise DataInvalid(f"{root / name}.csv: is missing")
    rows: dict[_Key, array[float]] = defaultdict(lambda: array("d"))
    classes: dict[str, str] = {}
    with closing(_rows(path)) as lines:
        for number, row in lines:
            if len(row) != _COLUMNS or row[5] not in ("present", "absent"):
                raise DataInvalid(f"{path}, line {number}: expected {_COLUMNS} columns, the sixth present or absent")
            try:
                rows[row[0], row[2], row[4]].extend((float(row[1]), *map(float, row[6:]), float(row[5] == "present")))
            except ValueError as error:
                raise DataInvalid(f"{path}, line {number}: {error}") from error
            classes[row[2]] = row[3]
    listing: dict[str, frozenset[str]] = {}
    for key in sorted(rows):
        folder = root / name / key[1]
        if key[1] not in listing:
            listing[key[1]] = file_names(folder) if folder.is_dir() else frozenset()
        table = np.array(rows[key], np.float64).reshape(-1, 6)
        if (track := _track(key, folder, listing[key[1]], table, classes[key[1]])) is not None:
            yield track


def _rows(path: Path) -> Generator[tuple[int, list[str]], None, None]:
    """The rows of the table with their line numbers."""
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8", newline="") as file:
            yield from enumerate(csv.reader(file), 1)
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataInvalid(f"{path}: cannot be read: {error}") from error


def _track(
    key: _Key,
    folder: Path,
    present: frozenset[str],
    table: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    what: str,
) -> Track | None:
    """table: (N, 6) milliseconds, xmin, xmax, ymin, ymax (0..1, the two x first), whether the object is there."""
    youtube, category, thing = key
    table = table[np.argsort(table[:, 0], kind="stable")]
    names = [f"{youtube}_{int(ms)}_{category}_{thing}.jpg" for ms in table[:, 0]]
    rows = np.array([row for row, file in enumerate(names) if file in present], np.int64)
    if len(rows) == 0:
        return None
    table, pictures = table[rows], Files(folder, tuple(names[row] for row in rows))
    width, height = _size(pictures)
    x0, x1, y0, y1 = table[:, 1:5].T
    boxes = np.stack([x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height], axis=1)
    here = table[:, 5] > 0
    boxes[~here] = np.nan  # absent rows hold -1
    seconds = np.rint(table[:, 0] / 1000).astype(np.int64)
    name, scene = "/".join(key), f"youtube/{youtube}"
    visible = has_area(boxes) & (table[:, 1:5] >= 0).all(axis=1)
    return Track("youtube_bb", name, scene, what, pictures, np.arange(len(rows)), seconds, boxes, visible)


def _size(pictures: Files) -> tuple[float, float]:
    """Width and height of the first frame that can be read: what was fetched may hold empty files. NaN if there is
    none, so that the track has no boxes: it is packed nowhere, and `check` says so."""
    for number in range(len(pictures)):
        with suppress(DataInvalid):
            return picture_size(pictures, number)
    return nan, nan


LAYOUT = Layout(
    "youtube_bb",
    "YouTube-BoundingBoxes",
    "https://research.google.com/youtube-bb (the table, CC BY 4.0; the videos have to be fetched from YouTube)",
    _SPLITS,
    ("train",),
    lambda root: bool(_present(root)),
    _present,
    _sequences,
    _tracks,
    "never complete: many videos are gone. Frames lie as yt_bb_detection_train/CLASS/ID_MS_CLASS_OBJECT.jpg",
)
