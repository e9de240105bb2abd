"""What lies around a target in its template, shown with less contrast.

A template is a square: beside the target it shows what the target stands on, and the network would stay with that when
the target moves off. So colours outside the ellipse in the target's box are drawn towards the crop's mean colour."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.geometry import Size

EDGE = 0.3
"""How far outside the ellipse the contrast has fallen to its share, as a share of the ellipse's radii."""


def fade(crop: NDArray[Any], target: Size, share: float) -> None:
    """Leaves so much of the background's contrast, 0..1, in place.

    crop (Z, Z, 3) uint8 or float32, with a target of this size, in crop pixels, in its middle."""
    side = crop.shape[0]
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    radius = np.hypot(x / (target.w / 2), y / (target.h / 2))
    kept = np.interp(radius, (1, 1 + EDGE), (1, share))[..., None]
    mean = crop.mean((0, 1))
    faded = crop * kept + mean * (1 - kept)
    crop[:] = np.rint(faded) if crop.dtype == np.uint8 else faded
