"""pysot's conventions, and NanoTrack's: windows of whole pixels around the middle of a pixel."""

from __future__ import annotations

import math

import numpy as np

from models.crops import Colour, Window, cut, mean_colour
from models.families.published import measured, penalty_size, rate, scale_of
from models.families.rules import FamilyRules
from models.geometry import Box
from models.runtimes.base import ByteArray
from models.spec import CropSpec


def start(box: Box) -> Box:
    """cx = x + (w - 1) / 2, cy alike (pysot, tracker/siamrpn_tracker.py, init)."""
    return Box.from_centre(box.x + (box.w - 1) / 2, box.y + (box.h - 1) / 2, box.w, box.h)


def report(place: Box) -> Box:
    """x = cx - w / 2: half a pixel less than where a target was marked, as published."""
    return place


def window_around(cx: float, cy: float, side: float) -> Window:
    """x = floor(cx - (side + 1) / 2 + 0.5), y alike, the side rounded half to even.

    pysot, tracker/base_tracker.py, get_subwindow."""
    whole = max(1, round(side))
    corner = (whole + 1) / 2
    return Window(math.floor(cx - corner + 0.5), math.floor(cy - corner + 0.5), whole)


def cut_template(frame: ByteArray, place: Box, spec: CropSpec, fill: Colour, out: ByteArray) -> None:
    """The square around the target."""
    cut(frame, search_window(place, spec, spec.template_size), out, fill)


def search_window(place: Box, spec: CropSpec, search_size: int) -> Window:
    """The square around the target's last place, with the target at the same scale as in the template."""
    return window_around(place.cx, place.cy, search_size / scale_of(place, spec))


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
