"""Rules of a code base that cuts squares around the place; such code bases differ in how they round them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.crops import Colour, Window, cut, mean_colour
from models.families.published import measured, penalty_size, rate, scale_of
from models.families.rules import FamilyRules
from models.frames import FrameLike
from models.geometry import Box
from models.runtimes.base import ByteArray
from models.spec import CropSpec


def square_rules(
    start: Callable[[Box], Box],
    report: Callable[[Box], Box],
    window_around: Callable[[float, float, float], Window],
    cut: Callable[[FrameLike, Window, NDArray[Any], Colour], None] = cut,
) -> FamilyRules:
    """`window_around`: centre x, centre y, side in frame pixels -> the window; the rest as in `FamilyRules`."""

    def cut_template(frame: ByteArray, place: Box, spec: CropSpec, fill: Colour, out: NDArray[Any]) -> None:
        cut(frame, search_window(place, spec, spec.template_size), out, fill)

    def search_window(place: Box, spec: CropSpec, search_size: int) -> Window:
        return window_around(place.cx, place.cy, search_size / scale_of(place, spec))

    return FamilyRules(
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


def unchanged(box: Box) -> Box:
    """The place is the marked box: cx = x + w / 2, both ways."""
    return box
