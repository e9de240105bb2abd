"""Context windows: which square of a frame to look at, and how it is cut out of the frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from models.geometry import Box, Size
from models.runtimes.base import ByteArray

Colour = tuple[float, float, float]
"""Blue, green, red, 0..255 each."""

MIN_SIDE = 8
_LARGEST_PADDED_RATIO = 4
"""Windows of more than this many times the output's side are sampled without building the padded window."""


@dataclass(frozen=True, slots=True)
class Window:
    """A square of a frame: top-left corner and side. It may reach outside the frame.

    Our own windows, and most published ones, are whole pixels; the others are made whole by their family's `cut`."""

    x: float
    y: float
    side: float

    @classmethod
    def around(cls, cx: float, cy: float, side: float) -> Self:
        """The window nearest to the square of `side` pixels around (cx, cy); at least MIN_SIDE pixels wide."""
        whole = max(MIN_SIDE, round(side))
        # Halves always go up (round() goes to the even side), so that a moved picture gives moved windows.
        return cls(math.floor(cx - whole / 2 + 0.5), math.floor(cy - whole / 2 + 0.5), whole)

    def to_frame(self, box: Box, crop_size: int) -> Box:
        """A box in pixels of this window's crop (crop_size, crop_size) -> the same box in frame pixels. Exact."""
        scale = self.side / crop_size
        return Box(self.x + box.x * scale, self.y + box.y * scale, box.w * scale, box.h * scale)

    def to_crop(self, box: Box, crop_size: int) -> Box:
        """A box in frame pixels -> the same box in pixels of this window's crop. Inverse of `to_frame`."""
        scale = crop_size / self.side
        return Box((box.x - self.x) * scale, (box.y - self.y) * scale, box.w * scale, box.h * scale)


def context_side(size: Size, context_amount: float) -> float:
    """Side in pixels of the square that holds a target of `size` and its context.

    sqrt((w + p)(h + p)), p = context_amount (w + h).
    """
    pad = context_amount * (size.w + size.h)
    return math.sqrt((size.w + pad) * (size.h + pad))


def mean_colour(frame: ByteArray) -> Colour:
    """The frame's mean colour, rounded down: what stands for the world outside the frame."""
    blue, green, red, _ = cv2.mean(frame)
    return int(blue), int(green), int(red)


def cut(frame: ByteArray, window: Window, out: ByteArray, fill: Colour) -> None:
    """Cuts a window of whole pixels out of the (H, W, 3) frame and scales it into `out`, (S, S, 3), C-contiguous.

    What lies outside the frame is `fill`. The frame is neither changed nor copied as a whole.
    """
    side = int(window.side)
    cut_rectangle(frame, (int(window.x), int(window.y), side, side), out, fill)


def cut_rectangle(frame: ByteArray, rectangle: tuple[int, int, int, int], out: ByteArray, fill: Colour) -> None:
    """`cut` for x, y, width and height in pixels: the rectangle is stretched to the square `out`."""
    assert out.flags.c_contiguous, "OpenCV would fill a copy"
    size = out.shape[0]
    x, y, width, height = rectangle
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, frame.shape[1]), min(y + height, frame.shape[0])
    if right <= left or bottom <= top:
        out[:] = fill
        return
    inside = frame[top:bottom, left:right]
    if inside.shape[:2] == (height, width):
        cv2.resize(inside, (size, size), dst=out, interpolation=cv2.INTER_LINEAR)
    elif max(width, height) <= _LARGEST_PADDED_RATIO * size:
        margins = (top - y, y + height - bottom, left - x, x + width - right)
        padded = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_CONSTANT, value=fill)
        cv2.resize(padded, (size, size), dst=out, interpolation=cv2.INTER_LINEAR)
    else:
        _sample(inside, (left - x, top - y), (width / size, height / size), out, fill)


def _sample(
    inside: ByteArray, corner: tuple[int, int], scale: tuple[float, float], out: ByteArray, fill: Colour
) -> None:
    """`cut` for windows so large that padding them would cost up to gigabytes (a target as large as a 4K frame).

    The same sampling points as cv2.resize, taken straight from the part inside the frame; at most one level off.
    `corner`: where that part starts in the window; `scale`: frame pixels per crop pixel; both x, y.
    """
    offsets = [(step - 1) / 2 - start for step, start in zip(scale, corner, strict=True)]
    matrix = np.array([[scale[0], 0, offsets[0]], [0, scale[1], offsets[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(
        inside, matrix, out.shape[:2], dst=out, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=fill
    )
