"""Text files of data sets: numbers, flags and names, with errors that name file and line; and folders of frames."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.datasets.tracks import PICTURE_SUFFIXES, DataInvalid, Files, Track, has_area


def read_lines(path: Path) -> list[str]:
    """The stripped lines of a text file, without empty ones at its end; an empty list if it is empty."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except OSError as error:
        raise DataInvalid(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise DataInvalid(f"{path}: is no text file: {error}") from error
    while lines and not lines[-1]:
        lines.pop()
    return lines


def read_numbers(path: Path, columns: Iterable[int]) -> NDArray[np.float64]:
    """(N, C) numbers, one row a line, apart by commas, tabs or blanks; NaN allowed. C must be one of `columns`."""
    allowed = tuple(columns)
    rows: list[list[float]] = []
    for number, line in enumerate(read_lines(path), 1):
        row = _row(f"{path}, line {number}", line)
        expected = (len(rows[0]),) if rows else allowed
        if len(row) not in expected:
            wanted = " or ".join(map(str, expected))
            raise DataInvalid(f"{path}, line {number}: expected {wanted} numbers, got {len(row)}")
        rows.append(row)
    if not rows:
        raise DataInvalid(f"{path}: is empty")
    return np.array(rows, np.float64)


def read_flags(path: Path, count: int, *, largest: int = 1) -> NDArray[np.int64]:
    """(count,) whole numbers 0..largest, one a line or all in one line."""
    flags: list[int] = []
    for number, line in enumerate(read_lines(path), 1):
        for word in re.split(r"[\s,]+", line.strip(", \t")):
            if not word.isdecimal() or int(word) > largest:
                raise DataInvalid(f"{path}, line {number}: {word!r} is none of 0..{largest}")
            flags.append(int(word))
    if len(flags) != count:
        raise DataInvalid(f"{path}: {len(flags)} flags for {count} frames")
    return np.array(flags, np.int64)


def read_names(path: Path) -> list[str]:
    """Names, one a line; empty lines are left out."""
    return [line for line in read_lines(path) if line]


def read_table(name: str) -> list[list[str]]:
    """The words of each line of one of our own tables in `tables/`."""
    lines = read_lines(Path(__file__).parent / "tables" / name)
    return [line.split() for line in lines if not line.startswith("#")]


def file_names(folder: Path) -> frozenset[str]:
    """The names in a folder; raises DataInvalid if it can't be listed."""
    try:
        # As bare text: a folder may hold a hundred thousand files, and a Path costs twenty times as much.
        return frozenset(os.listdir(folder))  # noqa: PTH208
    except OSError as error:
        raise DataInvalid(f"{folder}: cannot be listed: {error.strerror}") from error


def _row(where: str, line: str) -> list[float]:
    try:
        row = [float(word) for word in line.replace(",", " ").split()]
    except ValueError as error:
        raise DataInvalid(f"{where}: {line!r} is not a row of numbers") from error
    if any(map(math.isinf, row)):
        raise DataInvalid(f"{where}: {line!r} is not finite")
    return row


def numbered_frames(folder: Path) -> dict[int, str]:
    """Frame number -> file name of the pictures in a folder, by number: 2.jpg stands before 10.jpg.

    Hidden files and files that are no pictures are left out, as macOS and Windows leave theirs everywhere."""
    frames: dict[int, str] = {}
    for name in file_names(folder):
        stem, dot, suffix = name.rpartition(".")
        if (dot + suffix).lower() not in PICTURE_SUFFIXES or name.startswith("."):
            continue
        if (digits := re.search(r"\d+$", stem)) is None:
            raise DataInvalid(f"{folder / name}: has no frame number at the end of its name")
        number = int(digits[0])
        if number in frames:
            raise DataInvalid(f"{folder / name}: frame {number} is there twice, also as {frames[number]}")
        # Thousands of sequences share the same few thousand names.
        frames[number] = sys.intern(name)
    if not frames:
        raise DataInvalid(f"{folder}: holds no pictures")
    return dict(sorted(frames.items()))


def sequence_track(
    source: str,
    name: str,
    folder: Path,
    frames: dict[int, str],
    boxes: NDArray[np.float64],
    *,
    truth: Path,
    hidden: NDArray[np.bool_] | None = None,
    polygons: NDArray[np.float64] | None = None,
    scene: str | None = None,
    category: str | None = None,
    first_alone: bool = False,
) -> Track:
    """The track of a sequence with one box for each of the numbered `frames` of `folder`.

    truth: the file of the boxes, for messages. hidden: (N,) frames in which the set says that nothing is to be seen.
    first_alone: one box is enough, as test splits have it whose truth is kept back: the other frames then have none."""
    if first_alone and len(boxes) == 1 < len(frames):
        boxes = np.vstack([boxes, np.full((len(frames) - 1, 4), np.nan)])
    if len(boxes) != len(frames):
        raise DataInvalid(f"{truth}: {len(boxes)} boxes, but {folder} has {len(frames)} frames")
    visible = has_area(boxes)
    if hidden is not None:
        visible &= ~hidden
    return Track(
        source,
        name,
        scene or f"{source}/{name}",
        category,
        Files(folder, tuple(frames.values())),
        np.arange(len(frames)),
        np.array(list(frames), np.int64),
        boxes,
        visible,
        polygons,
    )
