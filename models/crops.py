"""Context windows: which square of a frame to look at, and how it is cut out of the frame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from models.frames import FrameLike, Picture
from models.geometry import Box, Size
from models.runtimes.base import ByteArray

Colour = tuple[float, float, float]
"""Blue, green, red, 0..255 each."""

MIN_SIDE = 8
LARGEST_PADDED_RATIO = 4
"""Windows of more than this many times the output's side are sampled without building the padded window."""
_UNIT = 2048
"""OpenCV's 1 in the shares of neighbouring pixels."""


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


def cut(frame: FrameLike, window: Window, out: ByteArray, fill: Colour) -> None:
    """Cuts a window of whole pixels out of the (H, W, 3) frame and scales it into `out`, (S, S, 3), C-contiguous.

    What lies outside the frame, or outside the part that is at hand, is `fill`. The frame is neither changed nor
    copied as a whole. From a part that was scaled down the crop is cut as it is, without bringing it back to scale.
    """
    side = int(window.side)
    cut_rectangle(frame, (int(window.x), int(window.y), side, side), out, fill)


def cut_rectangle(frame: FrameLike, rectangle: tuple[int, int, int, int], out: NDArray[Any], fill: Colour) -> None:
    """`cut` for x, y, width and height in pixels: the rectangle is stretched to the square `out`.

    `out` may be float32, too, for a rectangle of up to LARGEST_PADDED_RATIO times its side."""
    assert out.flags.c_contiguous, "OpenCV would fill a copy"
    size = out.shape[0]
    picture = Picture.of(frame)
    if picture.scaled_from is not None:
        _cut_scaled(picture, rectangle, out, fill)
        return
    pixels, (x, y, width, height) = picture.pixels, rectangle
    x, y = x - picture.x, y - picture.y
    left, top = max(x, 0), max(y, 0)
    right, bottom = min(x + width, pixels.shape[1]), min(y + height, pixels.shape[0])
    if right <= left or bottom <= top:
        out[:] = fill
        return
    inside = pixels[top:bottom, left:right].astype(out.dtype, copy=False)
    if inside.shape[:2] == (height, width):
        cv2.resize(inside, (size, size), dst=out, interpolation=cv2.INTER_LINEAR)
    elif max(width, height) <= LARGEST_PADDED_RATIO * size:
        margins = (top - y, y + height - bottom, left - x, x + width - right)
        padded = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_CONSTANT, value=fill)
        cv2.resize(padded, (size, size), dst=out, interpolation=cv2.INTER_LINEAR)
    else:
        _sample(inside, (left - x, top - y), (width / size, height / size), out, fill)


def _cut_scaled(picture: Picture, rectangle: tuple[int, int, int, int], out: NDArray[Any], fill: Colour) -> None:
    """`cut_rectangle` out of pixels that were scaled down: each crop pixel's middle lies where it does in the frame."""
    x, y, width, height = rectangle
    size, (across, down) = out.shape[0], picture.scale
    columns, rows = width / size * across, height / size * down
    left, top = (x - picture.x) * across, (y - picture.y) * down
    matrix = np.array([[columns, 0, left + columns / 2 - 0.5], [0, rows, top + rows / 2 - 0.5]])
    flags, pixels = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, picture.pixels.astype(out.dtype, copy=False)
    cv2.warpAffine(pixels, matrix, (size, size), out, flags, cv2.BORDER_CONSTANT, fill)


def _sample(
    inside: ByteArray, corner: tuple[int, int], scale: tuple[float, float], out: ByteArray, fill: Colour
) -> None:
    """`cut` for windows so large that padding them would cost up to gigabytes (a target as large as a 4K frame).

    Takes only those pixels that cv2.resize would use, and joins them by its own fixed-point arithmetic, bit for bit
    (OpenCV, modules/imgproc/src/resize.cpp: HResizeLinear, VResizeLinear).
    `corner`: where the part inside the frame starts in the window; `scale`: frame pixels per crop pixel; both x, y.
    """
    size = len(out)
    columns, right = _neighbours(size, scale[0], corner[0])
    rows, lower = _neighbours(size, scale[1], corner[1])
    height, width = inside.shape[:2]
    pixels = inside[np.ix_(rows.clip(0, height - 1), columns.clip(0, width - 1))]
    pixels[(rows < 0) | (rows >= height)] = fill
    pixels[:, (columns < 0) | (columns >= width)] = fill
    pairs = pixels.reshape(size, 2, size, 2, 3)
    right, lower = right[:, None], lower[:, None, None]
    joined = (pairs[:, :, :, 0] * (_UNIT - right) + pairs[:, :, :, 1] * right) >> 4
    out[:] = ((joined[:, 0] * (_UNIT - lower) >> 16) + (joined[:, 1] * lower >> 16) + 2) >> 2


def _neighbours(size: int, scale: float, start: int) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """(2 size,) which two pixels of the part inside the frame each crop pixel lies between, and (size,) the share of
    the second one, of _UNIT."""
    position = ((np.arange(size) + 0.5) * scale - 0.5).clip(0, size * scale - 1).astype(np.float32)
    first = np.floor(position).astype(np.intp)
    share = np.rint((position - first) * _UNIT).astype(np.int32)
    return np.stack([first, first + 1], axis=1).ravel() - start, share
