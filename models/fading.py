"""Fading what a template shows around its target.

A template is a square: beside the target it shows what the target stands on, and a network would stay with that when
the target moves off.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.geometry import Size

EDGE = 0.3
"""How far outside the ellipse the contrast has fallen to its share, as a share of the ellipse's radii."""


def faded(crop: NDArray[Any], target: Size, background: float) -> NDArray[Any]:
    """A copy of the template crop (Z, Z, 3) in which colours outside the ellipse in the target's box, `target` crop
    pixels in the middle, are drawn towards the crop's mean: `background` of their contrast is left, 0..1."""
    side = len(crop)
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(x / (target.w / 2), y / (target.h / 2))
    kept = np.interp(radius, (1, 1 + EDGE), (1, background))[..., None]
    drawn: NDArray[Any] = np.rint(crop * kept + crop.mean((0, 1)) * (1 - kept))
    return drawn.astype(crop.dtype)
