"""Our own conventions: windows of whole pixels, boxes whose right and bottom edges are exclusive."""

from __future__ import annotations

import numpy as np

from models.crops import Colour, Window, context_side, cut, mean_colour
from models.families.published import rate
from models.families.rules import FamilyRules
from models.families.squares import unchanged
from models.geometry import Box, Size
from models.runtimes.base import ByteArray
from models.spec import CropSpec


def cut_template(frame: ByteArray, place: Box, spec: CropSpec, fill: Colour, out: ByteArray) -> None:
    """The square around the target."""
    cut(frame, Window.around(place.cx, place.cy, context_side(place.size, spec.context_amount)), out, fill)


def search_window(place: Box, spec: CropSpec, search_size: int) -> Window:
    """The square around the target's last place, with the target at the same scale as in the template."""
    side = context_side(place.size, spec.context_amount) * search_size / spec.template_size
    return Window.around(place.cx, place.cy, side)


def measured(crop_box: Box, place: Box, window: Window, spec: CropSpec, search_size: int) -> Box:
    """A box in pixels of the search crop -> the same box in frame pixels."""
    return window.to_frame(crop_box, search_size)


def penalty_size(place: Box, window: Window, spec: CropSpec, search_size: int, frames: int) -> Size:
    """The target's size in the search crop."""
    return window.to_crop(place, search_size).size


RULES = FamilyRules(
    crop_type=np.uint8,
    start=unchanged,
    report=unchanged,
    fill=mean_colour,
    cut_template=cut_template,
    search_window=search_window,
    cut=cut,
    measured=measured,
    penalty_size=penalty_size,
    rate=rate,
)
