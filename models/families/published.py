"""What the published loops have in common: from crop pixels back to the frame, with the unrounded scale."""

from __future__ import annotations

from models.crops import Window, context_side
from models.geometry import Box, Size
from models.spec import CropSpec


def scale_of(place: Box, spec: CropSpec) -> float:
    """Crop pixels per frame pixel: template_size / context side. The cut window's side is rounded, this is not."""
    return spec.template_size / context_side(place.size, spec.context_amount)


def measured(crop_box: Box, place: Box, window: Window, spec: CropSpec, search_size: int) -> Box:
    """A box in pixels of the search crop, whose middle pixel lies on the place's centre -> the box as a place."""
    scale, middle = scale_of(place, spec), search_size // 2
    cx, cy = place.cx + (crop_box.cx - middle) / scale, place.cy + (crop_box.cy - middle) / scale
    return Box.from_centre(cx, cy, crop_box.w / scale, crop_box.h / scale)


def penalty_size(place: Box, window: Window, spec: CropSpec, search_size: int, frames: int) -> Size:
    """The target's size in the search crop."""
    scale = scale_of(place, spec)
    return Size(place.w * scale, place.h * scale)


def rate(penalty: float, score: float, ranking: float) -> float:
    """How far the size follows the network: penalty score, without the window."""
    return penalty * score
