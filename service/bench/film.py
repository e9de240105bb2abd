"""The frames that a load is made of: compressed once, then sent over and over, to and fro."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from models.geometry import Box
from models.runtimes.base import ByteArray

LONGEST = 300
"""Frames that are kept of a recording; they lie in memory."""
JPEG_QUALITY = 80
_DRAWN = 48
_SEED = 1


@dataclass(frozen=True, slots=True)
class Film:
    """Files of frames, all of one size in pixels, and the target's box in the first one."""

    name: str
    files: Sequence[bytes]
    box: Box
    width: int
    height: int

    def file(self, index: int) -> bytes:
        """The file of frame `index` from 0; behind the last frame the film runs backwards, so that no target jumps."""
        turn = max(1, 2 * len(self.files) - 2)
        place = index % turn
        return self.files[place if place < len(self.files) else turn - place]

    @property
    def mean_bytes(self) -> float:
        """Mean size of a file."""
        return sum(map(len, self.files)) / len(self.files)


def encoded(frames: Iterable[ByteArray]) -> tuple[bytes, ...]:
    """Frames (H, W, 3) uint8 BGR as JPEG files."""
    files = []
    for frame in frames:
        done, file = cv2.imencode(".jpg", frame, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        assert done, "JPEG takes every picture of three channels"
        files.append(file.tobytes())
    return tuple(files)


def middle(width: int, height: int) -> Box:
    """The box in the middle of a frame, a quarter of its sides, for recordings of which nobody says where to look."""
    return Box(width * 3 / 8, height * 3 / 8, width / 4, height / 4)


def drawn(width: int, height: int) -> Film:
    """A textured patch that moves over a scene of soft blobs with a camera's grain; the same each time."""
    rng = np.random.default_rng(_SEED)
    scene = _blobs(rng, width, height, 24) // 2 + 40
    side = max(16, min(width, height) // 8)
    patch = cv2.resize(rng.integers(60, 255, (6, 6, 3), np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
    reach = max(1, min(_DRAWN * 4, width - 2 * side))
    places = [(round(side / 2 + reach * i / _DRAWN), round((height - side) / 2)) for i in range(_DRAWN)]

    def frame(x: int, y: int) -> ByteArray:
        picture = scene.copy()
        picture[y : y + side, x : x + side] = patch
        grain = rng.normal(0, 4, (height, width, 1))
        return np.clip(picture + grain, 0, 255).astype(np.uint8)

    x, y = places[0]
    files = encoded(frame(*place) for place in places)
    return Film("drawn scene", files, Box(float(x), float(y), float(side), float(side)), width, height)


def _blobs(rng: np.random.Generator, width: int, height: int, size: int) -> ByteArray:
    """(height, width, 3) uint8: random colours, a patch of `size` pixels each, blended."""
    small = rng.integers(0, 255, (max(2, height // size), max(2, width // size), 3), np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
