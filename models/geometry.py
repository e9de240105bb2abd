"""Boxes: one value type and pure functions on arrays of boxes.

Coordinates are floats in pixels. The origin is the top-left corner of the top-left pixel, x grows to the right, y down,
and the right and bottom edges are exclusive: a box that covers the whole of a 640 x 360 frame is (0, 0, 640, 360).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.floating]


class Size(NamedTuple):
    """Width and height in pixels."""

    w: float
    h: float


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in frame pixels: top-left corner, width and height."""

    x: float
    y: float
    w: float
    h: float

    @classmethod
    def from_centre(cls, cx: float, cy: float, w: float, h: float) -> Self:
        """The box of size w, h around the centre (cx, cy)."""
        return cls(cx - w / 2, cy - h / 2, w, h)

    @property
    def cx(self) -> float:
        """Horizontal centre."""
        return self.x + self.w / 2

    @property
    def cy(self) -> float:
        """Vertical centre."""
        return self.y + self.h / 2

    @property
    def size(self) -> Size:
        """Width and height."""
        return Size(self.w, self.h)

    def is_finite(self) -> bool:
        """False if any number is NaN or infinite."""
        return all(math.isfinite(v) for v in (self.x, self.y, self.w, self.h))

    def xywh(self) -> tuple[float, float, float, float]:
        """The four numbers in the order of the wire format."""
        return self.x, self.y, self.w, self.h


def xywh_to_xyxy(boxes: FloatArray) -> FloatArray:
    """(..., 4) top-left corner and size -> (..., 4) top-left and bottom-right corners."""
    return np.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def xyxy_to_xywh(boxes: FloatArray) -> FloatArray:
    """(..., 4) corners -> (..., 4) top-left corner and size."""
    return np.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def intersection_over_union(a: FloatArray, b: FloatArray) -> FloatArray:
    """IoU of (..., 4) x, y, w, h boxes, pair by pair: (...,) in 0..1; 0 where both boxes are empty."""
    corners_a, corners_b = xywh_to_xyxy(a), xywh_to_xyxy(b)
    overlap = np.minimum(corners_a[..., 2:], corners_b[..., 2:]) - np.maximum(corners_a[..., :2], corners_b[..., :2])
    shared = np.prod(np.clip(overlap, 0, None), axis=-1)
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - shared
    return np.asarray(shared / np.maximum(union, 1e-9))


def centre_distance(a: FloatArray, b: FloatArray) -> FloatArray:
    """Distance in pixels between the centres of (..., 4) x, y, w, h boxes: (...,)."""
    offset = (a[..., :2] + a[..., 2:] / 2) - (b[..., :2] + b[..., 2:] / 2)
    return np.hypot(offset[..., 0], offset[..., 1])


def distance(a: Box, b: Box) -> float:
    """Distance in pixels between the centres of two boxes."""
    return math.hypot(a.cx - b.cx, a.cy - b.cy)


def kept_in_frame(box: Box, frame: Size, min_size: float) -> Box:
    """The box with its centre moved into the frame and its sides limited to min_size .. the frame's side."""
    cx, cy = min(max(box.cx, 0.0), frame.w), min(max(box.cy, 0.0), frame.h)
    w, h = max(min(box.w, frame.w), min_size), max(min(box.h, frame.h), min_size)
    return Box.from_centre(cx, cy, w, h)
