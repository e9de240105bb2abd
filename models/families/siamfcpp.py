"""video_analyst's conventions: boxes that count pixels, and windows of which only the side is rounded."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import Colour, Window
from models.families.squares import square_rules
from models.frames import FrameLike, Picture
from models.geometry import Box
from models.runtimes.base import ByteArray


def start(box: Box) -> Box:
    """A place is the middle between a box's first and last pixel: cx = x + (w - 1) / 2 (pipeline/utils/bbox.py)."""
    return Box.from_centre(box.x + (box.w - 1) / 2, box.y + (box.h - 1) / 2, box.w, box.h)


def report(place: Box) -> Box:
    """Inverse of `start`."""
    return Box(place.cx - (place.w - 1) / 2, place.cy - (place.h - 1) / 2, place.w, place.h)


def window_around(cx: float, cy: float, side: float) -> Window:
    """The square whose first pixel's centre is `x`, `y`, between the frame's pixels; its side is rounded half to even.

    The centre is cut to single precision (video_analyst, pipeline/utils/crop.py, get_crop; bbox.py, cxywh2xyxy)."""
    whole = max(1, round(side))
    return Window(float(np.float32(cx)) - (whole - 1) / 2, float(np.float32(cy)) - (whole - 1) / 2, whole)


def cut(frame: FrameLike, window: Window, out: NDArray[Any], fill: Colour) -> None:
    """Samples the frame so that the crop's corner pixels lie on the window's (crop.py, get_subwindow_tracking)."""
    assert out.flags.c_contiguous, "OpenCV would fill a copy"
    size, last = len(out), window.side - 1
    left, top, right, bottom = np.array([window.x, window.y, window.x + last, window.y + last], np.float32)
    matrix = np.array([[(right - left) / (size - 1), 0, left], [0, (bottom - top) / (size - 1), top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(_in_place(frame), matrix, (size, size), out, flags, cv2.BORDER_CONSTANT, fill)


def _in_place(frame: FrameLike) -> ByteArray:
    """The part that is at hand, at its place in an otherwise black frame that ends with it.

    The matrix must stay as it is: OpenCV samples in single precision, where a shifted window has other last digits. The
    system gives only those pages of the black frame that are written to."""
    picture = Picture.of(frame).at_frame_scale()
    if picture.whole:
        return picture.pixels
    height, width = picture.pixels.shape[:2]
    whole = np.zeros((picture.y + height, picture.x + width, 3), np.uint8)
    whole[picture.y :, picture.x :] = picture.pixels
    return whole


RULES = square_rules(start, report, window_around, cut)
