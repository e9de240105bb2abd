"""Guesses where in the frame a lost target may be: where a small picture of it fits best. They cost little and are
often wrong; the network looks at each of them as at any other place, and decides."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from models.geometry import Box
from models.presence import Presence
from models.runtimes.base import ByteArray
from models.searching import is_global

SCAN_EVERY = 8
"""Looks from one scan to the next."""
GUESSES = 2
"""Places that a scan gives: as many as are looked at until the next one."""
REMEMBERED = 16
"""So many places that were looked at last are not guessed again."""
PATTERN_SIDE = 12.0
"""Root of the area, in pixels, that the target is shrunk to, and the frame with it."""
MOST_PIXELS = 640 * 360
"""Of the shrunk frame: a scan takes 3 ms for so many."""
LEAST_SIDE = 4
"""Of the shrunk target, in pixels."""


class Point(NamedTuple):
    """A centre, in frame pixels."""

    x: float
    y: float


class Guesses(NamedTuple):
    """Places that are still to be looked at, the likeliest first, and those that were, the newest last."""

    places: tuple[Point, ...] = ()
    tried: tuple[Point, ...] = ()

    def next(self) -> tuple[Point, Guesses]:
        """The likeliest one, and what is left; there must be one."""
        first, *others = self.places
        return first, Guesses(tuple(others), (*self.tried, first)[-REMEMBERED:])


NO_GUESSES = Guesses()


def scan_due(presence: Presence) -> bool:
    """Whether the next frame is scanned as a whole."""
    return is_global(presence) and presence.looks % SCAN_EVERY == 0


def pattern_of(crop: NDArray[Any], box: Box, window_side: float) -> ByteArray:
    """The part of a template crop (Z, Z, 3) that shows the target: of a box of this size, the crop is a square of
    `window_side` frame pixels."""
    side = crop.shape[0]
    columns, rows = (max(1, min(side, round(length * side / window_side))) for length in (box.w, box.h))
    left, top = (side - columns) // 2, (side - rows) // 2
    return np.ascontiguousarray(crop[top : top + rows, left : left + columns], np.uint8)


def guessed(frame: ByteArray, pattern: ByteArray, box: Box, tried: tuple[Point, ...]) -> Guesses:
    """Where the pattern fits best at the size of `box`, but for places where one was `tried`; the normalised
    correlation of the shrunk grey pictures says how well."""
    rows, columns = frame.shape[:2]
    scale = min(1.0, PATTERN_SIDE / math.sqrt(box.w * box.h), math.sqrt(MOST_PIXELS / (rows * columns)))
    width, height = (max(LEAST_SIDE, round(length * scale)) for length in (box.w, box.h))
    shrunk = _shrunk(frame, max(width, round(columns * scale)), max(height, round(rows * scale)))
    fit = cv2.matchTemplate(shrunk, _shrunk(pattern, width, height), cv2.TM_CCOEFF_NORMED)
    for point in tried:
        _strike(fit, round(point.x * scale - width / 2), round(point.y * scale - height / 2), width, height)
    places = []
    for _ in range(GUESSES):
        _, best, _, (column, row) = cv2.minMaxLoc(fit)
        if best <= 0:
            break
        places.append(Point((column + width / 2) / scale, (row + height / 2) / scale))
        _strike(fit, column, row, width, height)
    return Guesses(tuple(places), tried)


def _shrunk(picture: ByteArray, width: int, height: int) -> ByteArray:
    """In grey. By way of twice the size, for a tenth of the time that a mean over all pixels takes."""
    twice = cv2.resize(picture, (2 * width, 2 * height), interpolation=cv2.INTER_LINEAR)
    small = cv2.resize(twice, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8)


def _strike(fit: NDArray[Any], column: int, row: int, width: int, height: int) -> None:
    """Takes out the places within half a target of this one."""
    top, left = max(0, row - height // 2), max(0, column - width // 2)
    fit[top : max(0, row + height // 2 + 1), left : max(0, column + width // 2 + 1)] = -1.0
