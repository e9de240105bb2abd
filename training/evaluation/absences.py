"""Absences made out of sequences that have none: real targets and real pictures, put together by rule.

    covered    a picture slides over the target, stays on it while it moves, and slides on
    cut        the film changes to another sequence and back: the target returns where it was
    elsewhere  the target's film runs on a wall among stills; another film takes its place, and it goes on in a
               corner

Pictures come from sequences of the same half (see `Halves`), so that what is tuned on one half has seen nothing of the
other. Everything follows from the sequences' order alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from models.geometry import Box
from models.runtimes.base import ByteArray
from training.evaluation.sequences import Sequence as Film
from training.evaluation.sequences import read_frame

MARK = "+"
"""Stands between a made sequence's source and its kind."""
BEFORE = 40
"""Frames before an absence, at most a third of the film."""
GAP = 75
"""Frames of a cut."""
AFTER = 50
"""Frames after a cut; a shorter film goes to and fro."""
SEARCHED = 200
"""Frames after a return elsewhere: such a search takes seconds."""
SLIDE = 8
"""Frames in which the cover comes, and in which it goes."""
COVERED = 50
"""Frames under the cover, at most."""
COVER_SIZE = 1.5
"""Sides of the cover, in those of the target's box."""
VISIBLE = 0.5
"""A target of which less is seen counts as absent, as in the data sets."""
WALL = 5
"""Films in a row and in a column of the wall; the target's begins in the middle."""


class Kind(StrEnum):
    """How the target disappears."""

    COVERED = "covered"
    CUT = "cut"
    ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class MadeClip:
    """A clip whose frames are put together while they are read."""

    name: str
    truth: NDArray[np.float64]
    fps: float
    frame: Callable[[int], ByteArray]

    @property
    def first_box(self) -> Box:
        """The box that a tracker is started with."""
        return Box(*map(float, self.truth[0]))

    def frames(self) -> Iterator[ByteArray]:
        """(H, W, 3) uint8 BGR, one by one."""
        return map(self.frame, range(len(self.truth)))


def made_clips(films: Sequence[Film], kinds: Sequence[Kind] = tuple(Kind)) -> list[MadeClip]:
    """Every kind of absence of each film that has none of its own. `films` are those of one half; of a single film
    nothing is made, since there is no other picture."""
    clips = []
    for index, film in enumerate(films):
        others = [*films[index + 1 :], *films[:index]]
        if others and not np.isnan(film.truth).any() and len(film.truth) >= 2 * SLIDE + 3:
            clips += [_MAKERS[kind](film, others, index) for kind in kinds]
    return clips


def source_of(name: str) -> str:
    """The name of the sequence that a clip was made of; a sequence's own name is returned."""
    return name.partition(MARK)[0]


def kind_of(name: str) -> str:
    """How the target of a made clip disappears; empty for a sequence's own name."""
    return name.partition(MARK)[2]


def _covered(film: Film, others: Sequence[Film], index: int) -> MadeClip:
    before = _before(film)
    under = min(COVERED, len(film.truth) - before - 2 * SLIDE - 1)
    picture = read_frame(others[0].frame_paths[0])
    truth = film.truth.copy()
    covers: dict[int, tuple[int, int, int, int]] = {}
    for number in range(before, before + 2 * SLIDE + under):
        step = number - before
        away = max(1 - step / SLIDE, 0.0) - max((step - SLIDE - under + 1) / SLIDE, 0.0)
        x, y, w, h = film.truth[number]
        side_w, side_h = COVER_SIZE * w, COVER_SIZE * h
        left = x + w / 2 - side_w / 2 - away * (side_w + w) / 2
        hidden = (max(min(left + side_w, x + w) - max(left, x), 0.0)) / w
        if 1 - hidden < VISIBLE:
            truth[number] = np.nan
        covers[number] = (round(left), round(y + h / 2 - side_h / 2), max(round(side_w), 1), max(round(side_h), 1))

    def frame(number: int) -> ByteArray:
        pixels = read_frame(film.frame_paths[number])
        if number in covers:
            _paste(pixels, picture, covers[number])
        return pixels

    return MadeClip(f"{film.name}{MARK}{Kind.COVERED}", truth, film.fps, frame)


def _cut(film: Film, others: Sequence[Film], index: int) -> MadeClip:
    before = _before(film)
    shown = [*range(before), *(_to_and_fro(before + step, len(film.truth)) for step in range(AFTER))]
    truth = np.insert(film.truth[shown], [before] * GAP, np.nan, axis=0)
    width, height = _size(film)

    def frame(number: int) -> ByteArray:
        if before <= number < before + GAP:
            return _cell(others[0], number - before, width, height)
        return read_frame(film.frame_paths[shown[number if number < before else number - GAP]])

    return MadeClip(f"{film.name}{MARK}{Kind.CUT}", truth, film.fps, frame)


def _elsewhere(film: Film, others: Sequence[Film], index: int) -> MadeClip:
    before, (width, height) = _before(film), _size(film)
    shown = [*range(before), *(_to_and_fro(before + step, len(film.truth)) for step in range(SEARCHED))]
    middle = (WALL // 2, WALL // 2)
    corner = (index % 2 * (WALL - 1), index // 2 % 2 * (WALL - 1))
    origins = np.array([middle] * before + [corner] * SEARCHED) * (width, height)
    truth = film.truth[shown].copy()
    truth[:, :2] += origins
    truth = np.insert(truth, [before] * GAP, np.nan, axis=0)
    stills = np.empty((WALL * height, WALL * width, 3), np.uint8)
    for which in range(WALL * WALL):
        _part(stills, (which % WALL, which // WALL), width, height)[:] = _cell(
            others[which % len(others)], 0, width, height
        )

    def frame(number: int) -> ByteArray:
        wall = stills.copy()
        there, here = (middle, None) if number < before else (corner, middle)
        if here is not None:
            _part(wall, here, width, height)[:] = _cell(others[0], number - before, width, height)
        if not before <= number < before + GAP:
            own = read_frame(film.frame_paths[shown[number if number < before else number - GAP]])
            _part(wall, there, width, height)[:] = own
        return wall

    return MadeClip(f"{film.name}{MARK}{Kind.ELSEWHERE}", truth, film.fps, frame)


_MAKERS: dict[Kind, Callable[[Film, Sequence[Film], int], MadeClip]] = {
    Kind.COVERED: _covered,
    Kind.CUT: _cut,
    Kind.ELSEWHERE: _elsewhere,
}


def _before(film: Film) -> int:
    return min(BEFORE, len(film.truth) // 3)


def _size(film: Film) -> tuple[int, int]:
    height, width = read_frame(film.frame_paths[0]).shape[:2]
    return width, height


def _part(wall: ByteArray, cell: tuple[int, int], width: int, height: int) -> ByteArray:
    """The pixels of the cell in this column and row."""
    column, row = cell
    return wall[row * height : (row + 1) * height, column * width : (column + 1) * width]


def _cell(film: Film, number: int, width: int, height: int) -> ByteArray:
    """A frame of another film in this size."""
    pixels = read_frame(film.frame_paths[_to_and_fro(number, len(film.frame_paths))])
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _paste(pixels: ByteArray, picture: ByteArray, rectangle: tuple[int, int, int, int]) -> None:
    """Draws the picture into the rectangle (x, y, w, h), as far as that lies in the frame."""
    x, y, w, h = rectangle
    left, top, right, bottom = max(x, 0), max(y, 0), min(x + w, pixels.shape[1]), min(y + h, pixels.shape[0])
    if left < right and top < bottom:
        cover = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
        pixels[top:bottom, left:right] = cover[top - y : bottom - y, left - x : right - x]


def _to_and_fro(number: int, count: int) -> int:
    last = count - 1
    return last - abs(number % (2 * last) - last) if last else 0
