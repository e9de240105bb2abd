"""Cuts one crop of a training pair: where the target comes to lie in it, and what stands around it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from models.crops import context_side
from models.geometry import Box
from models.spec import CropSpec

EDGE = 0.15
"""Over what share of half the target's side a cut-out fades into another background."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a target lies in its crop: shift from the middle as a share of the crop's side; how much it is enlarged;
    how much wider (and less high) it is made; by what angle (radians) it is turned after that."""

    dx: float
    dy: float
    scale: float
    aspect: float
    angle: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How a crop is made: through a picture `factor` times smaller; and what stands outside the stored picture:
    a piece of another picture, (H, W, 3), or its mean colour, as beyond a frame's border. `elsewhere`: the background
    is all around the target, which is cut out softly."""

    factor: float
    background: NDArray[np.uint8] | None
    elsewhere: bool


def cut(
    picture: NDArray[np.uint8],
    box: Box,
    crop: CropSpec,
    placement: Placement,
    surroundings: Surroundings,
    out: NDArray[np.uint8],
) -> tuple[float, float, float, float]:
    """Cuts the crop around `box` into `out` (S, S, 3); returns the box (x0, y0, x1, y1) in it, clipped to it."""
    side = out.shape[0]
    scale = crop.template_size / context_side(box.size, crop.context_amount) * placement.scale
    scale_x, scale_y = scale * math.sqrt(placement.aspect), scale / math.sqrt(placement.aspect)
    cx, cy = side * (0.5 + placement.dx), side * (0.5 + placement.dy)
    small = max(8, round(side / surroundings.factor))
    shrink = small / side
    cos, sin = math.cos(placement.angle), math.sin(placement.angle)
    # Pixel centres are at half-integers: u + 0.5 = shrink * (turn @ (scale * (x + 0.5 - box.centre)) + centre).
    to_picture = np.array([[cos / scale_x, sin / scale_x], [-sin / scale_y, cos / scale_y]])
    offset = to_picture @ (0.5 / shrink - np.array([cx, cy])) + [box.cx - 0.5, box.cy - 0.5]
    matrix = np.column_stack([to_picture / shrink, offset])
    base = _base(picture, surroundings.background, small)
    shown = base.copy()
    cv2.warpAffine(
        picture,
        matrix,
        (small, small),
        dst=shown,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    w, h = box.w * scale_x, box.h * scale_y
    if surroundings.elsewhere:
        places = (np.arange(small) + 0.5) / shrink
        mask = _soft(places - cx, places[:, None] - cy, (w, h), placement.angle)[..., None]
        shown = (base + mask * (shown.astype(np.float32) - base)).astype(np.uint8)
    out[:] = shown if small == side else cv2.resize(shown, (side, side), interpolation=cv2.INTER_LINEAR)
    turned = Box.from_centre(cx, cy, math.hypot(w * cos, h * sin), math.hypot(w * sin, h * cos))
    return _clipped(turned, side)


def _base(picture: NDArray[np.uint8], background: NDArray[np.uint8] | None, side: int) -> NDArray[np.uint8]:
    """What is seen where the picture ends."""
    if background is not None:
        return np.asarray(cv2.resize(background, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    return np.full((side, side, 3), np.floor(cv2.mean(picture)[:3]), np.uint8)


def _soft(
    x: NDArray[np.float64], y: NDArray[np.float64], size: tuple[float, float], angle: float
) -> NDArray[np.float32]:
    """How much of the target is seen at offsets x, y from its centre: 1 in its box but for the corners, 0 outside.

    The edge is that of a superellipse: corners are seldom the target's, the middles of the sides are."""
    across = (x * math.cos(angle) + y * math.sin(angle)) / (size[0] / 2)
    down = (y * math.cos(angle) - x * math.sin(angle)) / (size[1] / 2)
    distance = (across**4 + down**4) ** 0.25
    return np.clip((1 + EDGE - distance) / EDGE, 0, 1).astype(np.float32)


def _clipped(box: Box, side: int) -> tuple[float, float, float, float]:
    x0, y0 = max(0.0, box.x), max(0.0, box.y)
    return x0, y0, max(x0 + 1, min(side, box.x + box.w)), max(y0 + 1, min(side, box.y + box.h))
