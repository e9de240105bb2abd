"""Pairs as video_analyst cuts them (data/utils/crop_track_pair.py): search crops moved and scaled, nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.crops import Window, context_side, mean_colour
from models.families import siamfcpp
from models.geometry import Box
from models.spec import CropSpec
from training.published.shown import Crops, Draws, Shown
from training.recipe import VideoAnalystAugment

TRIES = 50
"""Then the pair is cut undisturbed."""

Corners = tuple[float, float, float, float]
Shift = NDArray[np.float64]
"""In x and y, as a share of half the window's side."""


@dataclass(frozen=True, slots=True)
class View:
    """The square of a picture that becomes a crop, centred at cx, cy (pixel centres at whole numbers) and not rounded,
    and the target's box in the crop, between pixels."""

    cx: float
    cy: float
    side: float
    box: Box


def cut_pair(
    template: Shown, search: Shown, crop: CropSpec, rule: VideoAnalystAugment, rng: Draws, out: Crops
) -> Corners:
    """Cuts both crops into `out`; returns the target's box x0, y0, x1, y1 in the search crop, between pixels.

    Both crops are filled with the mean colour of the template's picture."""
    views = drawn(template.box, search.box, crop, rule, rng)
    fill = mean_colour(template.picture)
    for shown, view, pixels in zip((template, search), views, out, strict=True):
        reach = (view.side - 1) / 2
        centre = np.array([view.cx, view.cy], np.float32)
        window = Window(float(centre[0]) - reach, float(centre[1]) - reach, view.side)
        siamfcpp.cut(shown.picture, window, pixels, fill)
    x, y, w, h = views[1].box.xywh()
    return x, y, x + w, y + h


def drawn(template: Box, search: Box, crop: CropSpec, rule: VideoAnalystAugment, rng: Draws) -> tuple[View, View]:
    """Views of both targets, whole in their crops if that comes out within `TRIES` draws."""

    def views(scale: float, template_scale: float, shift: Shift, template_shift: Shift) -> tuple[View, View]:
        return (
            _view(template, crop.template_size, crop, template_scale, template_shift),
            _view(search, crop.search_size, crop, scale, shift),
        )

    template_reach = math.log(1 + rule.template_scale)
    for _ in range(TRIES):
        scale = rng.uniform(1 / (1 + rule.scale), 1 + rule.scale)
        template_scale = math.exp(rng.uniform(-template_reach, template_reach))
        shift = rng.uniform(-rule.shift, rule.shift, 2)
        template_shift = rng.uniform(-rule.template_shift, rule.template_shift, 2)
        found = views(scale, template_scale, shift, template_shift)
        if _is_whole(found[0], crop.template_size) and _is_whole(found[1], crop.search_size):
            return found
    return views(1.0, 1.0, np.zeros(2), np.zeros(2))


def _view(box: Box, size: int, crop: CropSpec, smaller: float, shift: Shift) -> View:
    place = siamfcpp.start(box)
    scale = crop.template_size / context_side(box.size, crop.context_amount) / smaller
    side = size / scale
    dx, dy = (shift * side / 2).tolist()
    middle = (size - 1) / 2
    there = Box.from_centre(middle + dx * scale, middle + dy * scale, box.w * scale, box.h * scale)
    return View(place.cx - dx, place.cy - dy, side, siamfcpp.report(there))


def _is_whole(view: View, size: int) -> bool:
    """Do the box's first and last pixels lie in the crop?"""
    x, y, w, h = view.box.xywh()
    return min(x, y) >= 0 and max(x + w, y + h) <= size
