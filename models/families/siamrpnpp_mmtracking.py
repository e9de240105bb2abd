"""mmtracking's conventions: windows between pixels, crops of floating-point numbers (mmtrack/models/sot/siamrpn.py)."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import Colour, Window
from models.families.squares import square_rules, unchanged
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


def cut(frame: ByteArray, window: Window, out: NDArray[Any], fill: Colour) -> None:
    """Cuts the window out of the (H, W, 3) frame and scales it into `out`, (S, S, 3) float32, in 0..255.

    get_cropped_img of siamrpn.py, and torch's bilinear `interpolate`, in the same single precision. Only the four
    pixels around each point of the crop are read, however large the window is."""
    rows = _line(window.y, window.side, frame.shape[0], len(out))
    columns = _line(window.x, window.side, frame.shape[1], len(out))
    near, far = (_blended(frame, row, columns, fill) for row in rows.pixels)
    share = rows.share[:, None, None]
    np.add(near * (1 - share), far * share, out=out)


class _Line:
    """Where the points of a crop lie along one side of the frame."""

    def __init__(self, pixels: NDArray[np.intp], share: Floats) -> None:
        self.pixels = pixels
        """(2, S): the pixels before and after each point; they may lie outside the frame"""
        self.share = share
        """(S,): how much of the second one, 0..1"""


def _line(start: float, side: float, length: int, size: int) -> _Line:
    """First and last pixel of the window are cut towards zero, and both belong to it; but a last one outside the frame
    does not, since the padding is one pixel short there."""
    first, last = int(start), int(start + side)
    count = last - first + (1 if last < length else 0)
    step = np.float32(count) / np.float32(size)
    points = np.maximum(step * (np.arange(size, dtype=np.float32) + np.float32(0.5)) - np.float32(0.5), 0)
    before = points.astype(np.intp)
    after = np.minimum(before + 1, count - 1)
    return _Line(first + np.stack([before, after]), points - before.astype(np.float32))


def _blended(frame: ByteArray, rows: NDArray[np.intp], columns: _Line, fill: Colour) -> Floats:
    """(S, S, 3): the frame's pixels in these rows, blended along them."""
    lines = frame.take(rows.clip(0, frame.shape[0] - 1), axis=0)
    near, far = (lines.take(column.clip(0, frame.shape[1] - 1), axis=1).astype(np.float32) for column in columns.pixels)
    for pixels, column in zip((near, far), columns.pixels, strict=True):
        pixels[:, (column < 0) | (column >= frame.shape[1])] = fill
        pixels[(rows < 0) | (rows >= frame.shape[0])] = fill
    share = columns.share[:, None]
    return np.asarray(near * (1 - share) + far * share)


RULES = square_rules(unchanged, unchanged, window_around, cut)._replace(crop_type=np.float32, fill=fill)
