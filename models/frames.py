"""A frame, or the part of it that is at hand: windows are always given in the pixels of the whole frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np

from models.runtimes.base import ByteArray


@dataclass(frozen=True, slots=True)
class PixelRect:
    """A rectangle of whole frame pixels: top-left corner and size. It may reach outside the frame."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def around(cls, parts: Iterable[PixelRect]) -> PixelRect:
        """The smallest rectangle that holds all of these; there must be one at least."""
        found = list(parts)
        if len(found) == 1:
            return found[0]
        left, top = min(part.x for part in found), min(part.y for part in found)
        right = max(part.x + part.width for part in found)
        bottom = max(part.y + part.height for part in found)
        return cls(left, top, right - left, bottom - top)

    def inside(self, frame_width: int, frame_height: int) -> PixelRect | None:
        """The part of it that lies in the frame, None if there is none."""
        left, top = max(self.x, 0), max(self.y, 0)
        right, bottom = min(self.x + self.width, frame_width), min(self.y + self.height, frame_height)
        return PixelRect(left, top, right - left, bottom - top) if right > left and bottom > top else None


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Pixels of a frame: all of them, or those of the rectangle whose top-left corner is frame pixel (x, y), which may
    have been scaled down."""

    pixels: ByteArray
    """(h, w, 3) uint8 BGR"""
    x: int
    y: int
    frame_width: int
    frame_height: int
    time_s: float | None = None
    """when the frame was taken, in seconds of a clock of the stream's own; None where nobody knows"""
    scaled_from: tuple[int, int] | None = None
    """the rectangle's width and height in frame pixels, if it was scaled down; None where each frame pixel is there"""

    @classmethod
    def of(cls, frame: FrameLike, time_s: float | None = None) -> Picture:
        """An array is a whole frame, taken at `time_s`."""
        return frame if isinstance(frame, Picture) else cls(frame, 0, 0, frame.shape[1], frame.shape[0], time_s)

    @property
    def width(self) -> int:
        """Width of the rectangle in frame pixels."""
        return self.pixels.shape[1] if self.scaled_from is None else self.scaled_from[0]

    @property
    def height(self) -> int:
        """Height of the rectangle in frame pixels."""
        return self.pixels.shape[0] if self.scaled_from is None else self.scaled_from[1]

    @property
    def whole(self) -> bool:
        """Whether every pixel of the frame is there."""
        return self.pixels.shape[:2] == (self.frame_height, self.frame_width)

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels for each pixel of the frame, across and down: 1 and 1, or less."""
        return self.pixels.shape[1] / self.width, self.pixels.shape[0] / self.height

    def at_frame_scale(self) -> Picture:
        """The same rectangle with as many pixels as the frame has there."""
        if self.scaled_from is None:
            return self
        pixels = np.asarray(cv2.resize(self.pixels, self.scaled_from, interpolation=cv2.INTER_LINEAR), np.uint8)
        return Picture(pixels, self.x, self.y, self.frame_width, self.frame_height, self.time_s)

    def shows(self, part: PixelRect) -> bool:
        """Whether all of the part is there that lies in the frame."""
        wanted = part.inside(self.frame_width, self.frame_height)
        if wanted is None:
            return True
        right, bottom = wanted.x + wanted.width, wanted.y + wanted.height
        begins = self.x <= wanted.x and self.y <= wanted.y
        return begins and right <= self.x + self.width and bottom <= self.y + self.height


FrameLike: TypeAlias = ByteArray | Picture
"""(H, W, 3) uint8 BGR, or a part of such a frame."""
