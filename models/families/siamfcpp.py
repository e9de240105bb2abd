"""video_analyst's conventions: boxes that count pixels, and windows of which only the side is rounded."""

from __future__ import annotations

import cv2
import numpy as np

from models.crops import Colour, Window, mean_colour
from models.families.published import measured, penalty_size, rate, scale_of
from models.families.rules import FamilyRules
from models.geometry import Box
from models.runtimes.base import ByteArray
from models.spec import CropSpec


def start(box: Box) -> Box:
    """The centre of a box's first and last pixel is its place: cx = x + (w - 1) / 2 (pipeline/utils/bbox.py)."""
    return Box.from_centre(box.x + (box.w - 1) / 2, box.y + (box.h - 1) / 2, box.w, box.h)


def report(place: Box) -> Box:
    """Inverse of `start`."""
    return Box(place.cx - (place.w - 1) / 2, place.cy - (place.h - 1) / 2, place.w, place.h)


def cut_template(frame: ByteArray, place: Box, spec: CropSpec, fill: Colour, out: ByteArray) -> None:
    """The square around the target."""
    cut(frame, search_window(place, spec, spec.template_size), out, fill)


def search_window(place: Box, spec: CropSpec, search_size: int) -> Window:
    """The square around the target's last place, with the target at the same scale as in the template.

    `x` and `y` are the centre of its first pixel and lie between the frame's pixels. Its side is rounded, half to even;
    the centre is cut to single precision (pipeline/utils/crop.py, get_crop; bbox.py, cxywh2xyxy)."""
    side = max(1, round(search_size / scale_of(place, spec)))
    cx, cy = float(np.float32(place.cx)), float(np.float32(place.cy))
    return Window(cx - (side - 1) / 2, cy - (side - 1) / 2, side)


def cut(frame: ByteArray, window: Window, out: ByteArray, fill: Colour) -> None:
    """Samples the window so that the crop's corner pixels lie on the window's (get_subwindow_tracking of crop.py)."""
    assert out.flags.c_contiguous, "OpenCV would fill a copy"
    left, top, right, bottom = np.array(
        [window.x, window.y, window.x + window.side - 1, window.y + window.side - 1], np.float32
    )
    size = len(out)
    matrix = np.array([[(right - left) / (size - 1), 0, left], [0, (bottom - top) / (size - 1), top]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cv2.warpAffine(frame, matrix, (size, size), out, flags, cv2.BORDER_CONSTANT, fill)


RULES = FamilyRules(
    crop_type=np.uint8,
    start=start,
    report=report,
    fill=mean_colour,
    cut_template=cut_template,
    search_window=search_window,
    cut=cut,
    measured=measured,
    penalty_size=penalty_size,
    rate=rate,
)
