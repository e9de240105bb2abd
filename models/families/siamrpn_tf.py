"""SiamRPN-TF's conventions: templates are cut from search crops, and the fill is the mean of each frame itself."""

from __future__ import annotations

import math

import numpy as np

from models.crops import Colour, Window, mean_colour
from models.crops import cut as cut_filled
from models.families.published import measured as published_measured
from models.families.published import penalty_size as published_penalty_size
from models.families.siamfcpp import report, start
from models.families.siamrpn_pytorch import window_around
from models.families.squares import square_rules
from models.frames import FrameLike, Picture
from models.geometry import Box, Size
from models.runtimes.base import ByteArray
from models.spec import CropSpec


def cut(frame: FrameLike, window: Window, out: ByteArray, fill: Colour) -> None:
    """Fills what lies outside with the mean colour of this frame, whatever `fill` says (utils/infer_utils.py)."""
    picture = Picture.of(frame)
    right, bottom = window.x + window.side, window.y + window.side
    inside = window.x >= 0 and window.y >= 0 and right <= picture.frame_width and bottom <= picture.frame_height
    cut_filled(picture, window, out, fill if inside else mean_colour(picture.pixels))


def cut_template(frame: ByteArray, place: Box, spec: CropSpec, fill: Colour, out: ByteArray) -> None:
    """The middle of the search crop (inference/Tracker.py, track_init)."""
    crop = np.empty((spec.search_size, spec.search_size, 3), np.uint8)
    cut(frame, RULES.search_window(place, spec, spec.search_size), crop, fill)
    margin = (spec.search_size - spec.template_size) // 2
    out[:] = crop[margin : margin + spec.template_size, margin : margin + spec.template_size]


def measured(crop_box: Box, place: Box, window: Window, spec: CropSpec, search_size: int) -> Box:
    """Widths and heights that a place takes over are last - first + 1 in crop pixels, of exclusive ends; those of the
    penalty are not (utils/infer_utils.py, corrdinate_to_bbox; inference/Tracker.py)."""
    widened = Box.from_centre(crop_box.cx, crop_box.cy, crop_box.w + 1, crop_box.h + 1)
    return published_measured(widened, place, window, spec, search_size)


def penalty_size(place: Box, window: Window, spec: CropSpec, search_size: int, frames: int) -> Size:
    """The target's size in the search crop; for the first frame one so much smaller that sqrt((w + p)(h + p)),
    p = (w + h) / 2, is what sqrt(w h) should be: the code compares the two there (inference/Tracker.py).
    """
    size = published_penalty_size(place, window, spec, search_size, frames)
    if frames:
        return size
    pad = (size.w + size.h) / 2
    shrunk = math.sqrt(size.w * size.h / ((size.w + pad) * (size.h + pad)))
    return Size(size.w * shrunk, size.h * shrunk)


RULES = square_rules(start, report, window_around)._replace(
    cut=cut, cut_template=cut_template, measured=measured, penalty_size=penalty_size, fills_anew=True
)
