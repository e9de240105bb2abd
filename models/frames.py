"""A frame, or the part of it that is at hand: windows are always given in the pixels of the whole frame."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self, TypeAlias

from models.runtimes.base import ByteArray


@dataclass(frozen=True, slots=True)
class PixelRect:
    """A rectangle of whole frame pixels: top-left corner and size. It may reach outside the frame."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def around(cls, parts: Iterable[PixelRect]) -> Self:
        """The smallest rectangle that holds all of these; there must be one at least."""
        found = list(parts)
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
    """Pixels of a frame: all of them, or those of the rectangle whose top-left corner is frame pixel (x, y)."""

    pixels: ByteArray
    """(h, w, 3) uint8 BGR"""
    x: int
    y: int
    frame_width: int
    frame_height: int
    time_s: float | None = None
    """when the frame was taken, in seconds of a clock of the stream's own; None where nobody knows"""

    @classmethod
    def of(cls, frame: FrameLike, time_s: float | None = None) -> Picture:
        """An array is a whole frame, taken at `time_s`."""
        return frame if isinstance(frame, Picture) else cls(frame, 0, 0, frame.shape[1], frame.shape[0], time_s)

    @property
    def whole(self) -> bool:
        """Whether every pixel of the frame is there."""
        return self.pixels.shape[:2] == (self.frame_height, self.frame_width)

    def shows(self, part: PixelRect) -> bool:
        """Whether every pixel of the part is there that lies in the frame."""
        wanted = part.inside(self.frame_width, self.frame_height)
        if wanted is None:
            return True
        height, width = self.pixels.shape[:2]
        right, bottom = wanted.x + wanted.width, wanted.y + wanted.height
        return self.x <= wanted.x and self.y <= wanted.y and right <= self.x + width and bottom <= self.y + height


FrameLike: TypeAlias = ByteArray | Picture
"""(H, W, 3) uint8 BGR, or a part of such a frame."""
