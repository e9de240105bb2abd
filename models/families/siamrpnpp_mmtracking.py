"""mmtracking's conventions: windows between pixels, crops of floating-point numbers (mmtrack/models/sot/siamrpn.py)."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import LARGEST_PADDED_RATIO, Colour, Window, cut_rectangle
from models.families.squares import square_rules, unchanged
from models.frames import FrameLike, Picture
from models.runtimes.base import ByteArray

Floats = NDArray[np.float32]


def fill(frame: ByteArray) -> Colour:
    """The frame's mean colour, not rounded."""
    blue, green, red, _ = cv2.mean(frame)
    return blue, green, red


def window_around(cx: float, cy: float, side: float) -> Window:
    """The corner x = cx - side / 2, y alike, of a side that is rounded half to even."""
    whole = max(1, round(side))
    return Window(cx - whole / 2, cy - whole / 2, whole)


def cut(frame: FrameLike, window: Window, out: NDArray[Any], fill: Colour) -> None:
    """Cuts the window out of the (H, W, 3) frame and scales it into `out`, (S, S, 3) float32, in 0..255.

    get_cropped_img of siamrpn.py, which scales with torch's bilinear `interpolate`, as OpenCV does for floats."""
    picture = Picture.of(frame).at_frame_scale()
    x, width = _span(window.x, window.side, picture.frame_width)
    y, height = _span(window.y, window.side, picture.frame_height)
    if max(width, height) <= LARGEST_PADDED_RATIO * len(out):
        cut_rectangle(picture, (x, y, width, height), out, fill)
    else:
        rows, columns = _Line.along(y, height, len(out)), _Line.along(x, width, len(out))
        _sample(picture.pixels, rows.moved(-picture.y), columns.moved(-picture.x), out, fill)


def _span(start: float, side: float, length: int) -> tuple[int, int]:
    """First pixel and number of pixels, in a frame of `length`: first and last are cut towards zero, and both belong to
    the window; but a last one outside the frame does not, since the padding is one pixel short there."""
    first, last = int(start), int(start + side)
    return first, last - first + (1 if last < length else 0)


class _Line(NamedTuple):
    """Where the points of a crop lie along one side of the frame."""

    pixels: NDArray[np.intp]
    """(2, S): the pixels before and after each point; they may lie outside the frame"""
    share: Floats
    """(S,): how much of the second one, 0..1"""

    @classmethod
    def along(cls, first: int, count: int, size: int) -> Self:
        step = np.float32(count) / np.float32(size)
        points = np.maximum(step * (np.arange(size, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5), 0)
        before = points.astype(np.intp)
        after = np.minimum(before + 1, count - 1)
        return cls(first + np.stack([before, after]), points - before.astype(np.float32))

    def moved(self, by: int) -> Self:
        return self._replace(pixels=self.pixels + by)


def _sample(frame: ByteArray, rows: _Line, columns: _Line, out: Floats, fill: Colour) -> None:
    """`cut` for windows so large that padding them would cost up to gigabytes: reads four pixels for each of `out`."""
    near, far = (_blended(frame, row, columns, fill) for row in rows.pixels)
    share = rows.share[:, None, None]
    np.add(near * (1 - share), far * share, out=out)


def _blended(frame: ByteArray, rows: NDArray[np.intp], columns: _Line, fill: Colour) -> Floats:
    """(S, S, 3): the frame's pixels in these rows, blended along them."""
    height, width = frame.shape[:2]
    near, far = (
        frame[np.ix_(rows.clip(0, height - 1), column.clip(0, width - 1))].astype(np.float32)
        for column in columns.pixels
    )
    for pixels, column in zip((near, far), columns.pixels, strict=True):
        pixels[:, (column < 0) | (column >= width)] = fill
        pixels[(rows < 0) | (rows >= height)] = fill
    share = columns.share[:, None]
    return np.asarray(near * (1 - share) + far * share)


RULES = square_rules(unchanged, unchanged, window_around, cut)._replace(crop_type=np.float32, fill=fill)
