"""Checks a data set where it lies, and writes nothing there: what is missing, what does not fit, what is broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from training.datasets.catalogue import Found
from training.datasets.tracks import DataInvalid, Track, picture_size


@dataclass(slots=True)
class SplitReport:
    """What was found of one split."""

    split: str
    sequences: int = 0
    """Sound ones."""
    expected: int | None = None
    """What its owner publishes."""
    tracks: int = 0
    frames: int = 0
    """With or without the target, those of several tracks counted several times."""
    visible: int = 0
    """Frames that show the target."""
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """What is unusual and yet no fault."""

    @property
    def complete(self) -> bool:
        """Whether everything is there and sound."""
        return not self.problems and self.expected in (None, self.sequences)


def check(found: Found, report: Callable[[str, int, int], None] = lambda split, done, total: None) -> list[SplitReport]:
    """Reads every sequence of every split that lies there.

    report: called with split, sequences done and all of them. Pictures are not decoded: the first and the last one of
    each track are opened."""
    return [_check_split(found, split, report) for split in found.layout.present(found.root)]


def _check_split(found: Found, split: str, report: Callable[[str, int, int], None]) -> SplitReport:
    published = found.layout.splits[split]
    result = SplitReport(split, expected=published.sequences)
    names = found.layout.sequences(found.root, split)
    for done, name in enumerate(names):
        report(split, done, len(names))
        faults: list[str] = []
        try:  # the reader is lazy: what it finds wrong comes up in the loop
            for track in found.layout.tracks(found.root, split, name):
                result.tracks += 1
                result.frames += len(track)
                result.visible += int(track.visible.sum())
                faults += _faults(track, result.remarks)
        except DataInvalid as error:
            faults.append(str(error))
        result.sequences += not faults
        result.problems += faults
    report(split, len(names), len(names))
    if not result.problems and published.frames not in (None, result.frames):
        result.problems.append(f"{split}: {result.frames} frames, its owner publishes {published.frames}")
    return result


def _faults(track: Track, remarks: list[str]) -> Iterator[str]:
    """What is wrong with a track that could be read; what is merely unusual is added to `remarks`."""
    if not track.visible.any():
        yield f"{track.pictures.name(int(track.numbers[0]))}: {track.name} is visible in no frame"
    size: tuple[int, int] | None = None
    for row in sorted({0, len(track) - 1}):
        number = int(track.numbers[row])
        try:
            found = picture_size(track.pictures, number)
        except DataInvalid as error:
            yield str(error)
            continue
        if size is not None and found != size:
            text = f"is {found[0]}x{found[1]}, the first frame of the track {size[0]}x{size[1]}"
            remarks.append(f"{track.pictures.name(number)}: {text}")
        size = size or found
    if size is not None and (outside := _outside(track, size)):
        yield f"{track.pictures.name(int(track.numbers[outside[0]]))}: the box of {track.name} lies outside the picture"


def _outside(track: Track, size: tuple[int, int]) -> list[int]:
    """Rows whose box does not touch the picture."""
    x, y, w, h = track.boxes.T
    with np.errstate(invalid="ignore"):  # NaN compares as false: no box, no fault
        outside = (x + w <= 0) | (y + h <= 0) | (x >= size[0]) | (y >= size[1])
    return [int(row) for row in np.flatnonzero(outside & track.visible)]
