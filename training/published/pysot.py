"""Pairs as pysot and mmtracking cut them (pysot, datasets/augmentation.py, training_dataset/*/par_crop.py).

Coordinates are those of pixel centres: the first pixel's is 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import context_side
from models.geometry import Box
from training.augment_recipe import Published, PysotAugment, PysotDisturbance
from training.published.shown import Crops, Draws, Shown

STORED_SIDE, STORED_TEMPLATE = 511, 127
"""A target is stored so large that its template would have 127 of the 511 pixels."""
CONTEXT = 0.5


@dataclass(frozen=True, slots=True)
class Region:
    """Of the stored crop, what becomes a crop: its first and its last pixel's centre lie on `x0`, `y0`, `x1`, `y1`."""

    x0: float
    y0: float
    x1: float
    y1: float
    wider: float
    """How many times wider and higher than the crop."""
    higher: float


def stored_crop(shown: Shown, last: int) -> NDArray[np.uint8]:
    """(511, 511, 3): the target in the middle, and the picture's mean colour outside of it.

    `last`: the number of pixels from the one on the region's corner to the one on the opposite corner is 511 - last."""
    box = shown.box
    reach = context_side(box.size, CONTEXT) * STORED_SIDE / STORED_TEMPLATE / 2
    region = (box.cx - reach, box.cy - reach, box.cx + reach, box.cy + reach)
    return _warped(shown.picture, region, STORED_SIDE, last, cv2.mean(shown.picture)[:3])


def cut_pair(
    template: Shown, search: Shown, rule: PysotAugment, rng: Draws, out: Crops
) -> tuple[float, float, float, float]:
    """Cuts both crops into `out`; returns the box x0, y0, x1, y1 in the search crop, between pixels and not clipped.

    Blur and colours come later, for the whole batch: `pysot_colours`."""
    last = 0 if rule.after is Published.MMTRACKING else 1
    grey = rng.random() < rule.grey_share
    regions = [
        drawn(each, len(pixels), last, rng) for each, pixels in zip((rule.template, rule.search), out, strict=True)
    ]
    for shown, region, pixels in zip((template, search), regions, out, strict=True):
        stored = stored_crop(shown, last)
        if grey:
            stored[:] = cv2.cvtColor(stored, cv2.COLOR_BGR2GRAY)[..., None]
        pixels[:] = cut_region(stored, region, len(pixels), last)
    x0, y0, x1, y1 = box_in(regions[1], search.box)
    return x0 + 0.5, y0 + 0.5, x1 + 0.5, y1 + 0.5


def drawn(rule: PysotDisturbance, size: int, last: int, rng: Draws) -> Region:
    """The region of the stored crop for a crop of `size` pixels."""
    middle, side = STORED_SIDE // 2, size - last
    scales = np.minimum(1 + rng.uniform(-1, 1, 2) * rule.scale, STORED_SIDE / side)
    low, high = middle - side * scales / 2, middle + side * scales / 2
    shift = np.clip(rng.uniform(-1, 1, 2) * rule.shift, -low, STORED_SIDE - last - high)
    (x0, y0), (x1, y1) = (low + shift).tolist(), (high + shift).tolist()
    return Region(x0, y0, x1, y1, float(scales[0]), float(scales[1]))


def cut_region(stored: NDArray[np.uint8], region: Region, size: int, last: int) -> NDArray[np.uint8]:
    """(size, size, 3); black outside of what is stored."""
    return _warped(stored, (region.x0, region.y0, region.x1, region.y1), size, last, (0, 0, 0))


def box_in(region: Region, box: Box) -> tuple[float, float, float, float]:
    """x0, y0, x1, y1 of the target in the crop of a region, if it has `box` in its picture."""
    scale = STORED_TEMPLATE / context_side(box.size, CONTEXT)
    middle = STORED_SIDE // 2
    there = Box.from_centre(
        (middle - region.x0) / region.wider,
        (middle - region.y0) / region.higher,
        box.w * scale / region.wider,
        box.h * scale / region.higher,
    )
    return there.x, there.y, there.x + there.w, there.y + there.h


def _warped(
    picture: NDArray[np.uint8], region: tuple[float, float, float, float], size: int, last: int, fill: Sequence[float]
) -> NDArray[np.uint8]:
    x0, y0, x1, y1 = region
    across, down = (size - last) / (x1 - x0), (size - last) / (y1 - y0)
    matrix = np.array([[across, 0, -across * x0], [0, down, -down * y0]])
    border = (fill[0], fill[1], fill[2])
    crop = cv2.warpAffine(picture, matrix, (size, size), borderMode=cv2.BORDER_CONSTANT, borderValue=border)
    return np.asarray(crop, np.uint8)
