"""The common type of every reader: a track is one object in a sequence of frames; a still is a track of one frame.

Boxes are x, y, w, h in pixels of the picture, with the numbers as the data set has them: published results of the
Python trackers stand on the same numbers, half a pixel of a 1-based annotation included.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from models.geometry import Box

PICTURE_SUFFIXES = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp"))
PICTURE_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
"""Boxes are drawn on the pixels as stored, so a camera's orientation tag must not turn the picture."""


class DataInvalid(ValueError):
    """A data set breaks its layout; the message names the file, the line where there is one, and what is wrong."""


class Pictures(Protocol):
    """Numbered pictures, still encoded. Small and picklable, whatever they hold: workers get a copy."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def name(self, number: int) -> str:
        """Where the picture lies, for messages; no two pictures share it."""
        ...

    def encoded(self, number: int) -> bytes:
        """The file's content; raises DataInvalid where it is missing."""
        ...


@dataclass(frozen=True, slots=True)
class Files:
    """Pictures that are files of one folder."""

    folder: Path
    names: tuple[str, ...]
    """Relative to the folder."""

    def __len__(self) -> int:
        """How many files."""
        return len(self.names)

    def path(self, number: int) -> Path:
        """Where the file lies."""
        return self.folder / self.names[number]

    def name(self, number: int) -> str:
        """The path as text."""
        return str(self.path(number))

    def encoded(self, number: int) -> bytes:
        """The file's bytes."""
        try:
            return self.path(number).read_bytes()
        except OSError as error:
            raise DataInvalid(f"{self.path(number)}: cannot be read: {error.strerror}") from error


@dataclass(frozen=True, slots=True)
class View:
    """One object in one picture."""

    pictures: Pictures
    picture: int
    frame: int
    box: Box


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One object, N frames in order of time."""

    source: str
    """The data set, or the part of it that is weighted for itself."""
    name: str
    """Unique within the data set."""
    scene: str
    """What was filmed: tracks of one scene may show the same things and are no negatives of each other."""
    category: str | None
    pictures: Pictures
    numbers: NDArray[np.int64]
    """(N,) which of the pictures each frame is."""
    frames: NDArray[np.int64]
    """(N,) rising; differences are distances in time, in the set's own frames."""
    boxes: NDArray[np.float64]
    """(N, 4); NaN where the set gives no box."""
    visible: NDArray[np.bool_]
    """(N,) whether the target can be seen and has a box with width and height."""
    polygons: NDArray[np.float64] | None = None
    """(N, 8) corners, for sets that have them."""

    def __post_init__(self) -> None:
        count = len(self.numbers)
        assert count > 0, self.name
        assert self.frames.shape == self.visible.shape == (count,), self.name
        assert self.boxes.shape == (count, 4), self.name

    def __len__(self) -> int:
        """How many frames."""
        return len(self.numbers)

    @property
    def views(self) -> Views:
        """The frames one by one."""
        return Views(self)

    def taken(self, rows: NDArray[np.int64]) -> Track:
        """The track with these frames only."""
        return replace(
            self,
            numbers=self.numbers[rows],
            frames=self.frames[rows],
            boxes=self.boxes[rows],
            visible=self.visible[rows],
            polygons=None if self.polygons is None else self.polygons[rows],
        )

    def seen(self, min_side: float, largest_aspect: float = 0.0) -> Track | None:
        """The track without frames that do not show the target at `min_side` pixels or more, or at `largest_aspect`
        times as long as wide or more (0: any shape will do); None if none is left."""
        sides = np.nan_to_num(self.boxes[:, 2:])
        shorter, longer = sides.min(axis=1), sides.max(axis=1)
        fit = self.visible & (shorter >= min_side)
        if largest_aspect:
            fit &= longer < largest_aspect * shorter
        rows = np.flatnonzero(fit)
        if len(rows) == len(self):
            return self
        return self.taken(rows) if len(rows) else None


class Views(Sequence[View]):
    """The frames of a track as a sequence."""

    def __init__(self, track: Track) -> None:
        self._track = track

    def __len__(self) -> int:
        """How many frames."""
        return len(self._track)

    def __getitem__(self, row: int) -> View:  # type: ignore[override]  # slices are nobody's business
        """The frame in this row."""
        track = self._track
        box = Box(*map(float, track.boxes[row]))
        return View(track.pictures, int(track.numbers[row]), int(track.frames[row]), box)


def has_area(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) of (N, 4): which boxes are numbers with a width and height above 0."""
    return np.asarray(np.isfinite(boxes).all(axis=1) & (np.nan_to_num(boxes[:, 2:]) > 0).all(axis=1))


def decoded(pictures: Pictures, number: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR; raises DataInvalid if the picture is missing or no image."""
    content = np.frombuffer(pictures.encoded(number), np.uint8)
    picture = cv2.imdecode(content, PICTURE_FLAGS) if content.size else None
    if picture is None:
        raise DataInvalid(f"{pictures.name(number)}: cannot be read as an image")
    return np.asarray(picture, np.uint8)


def picture_size(pictures: Pictures, number: int) -> tuple[int, int]:
    """Width and height from the picture's header; raises DataInvalid if it is missing or no image."""
    file = pictures.path(number) if isinstance(pictures, Files) else io.BytesIO(pictures.encoded(number))
    try:
        with Image.open(file) as image:
            return image.size
    except FileNotFoundError as error:
        raise DataInvalid(f"{pictures.name(number)}: is missing") from error
    except (OSError, UnidentifiedImageError) as error:
        raise DataInvalid(f"{pictures.name(number)}: cannot be read as an image") from error
