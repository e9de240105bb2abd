"""Regions of VOT and how two of them overlap: shares of pixels, counted in the ways of the two published toolkits.

A region is (4,) x, y, w, h or (2 K,) corners x1, y1, x2, y2 …; a single number is a code of a result file (see
`trajectories`). Neither toolkit computes areas: they draw both regions and count.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Region = NDArray[np.float64]
Mask = NDArray[np.bool_]
Bounds = tuple[int, int]
"""Width and height within which pixels count."""

_RATIO = 1e-10


def is_code(region: Region) -> bool:
    """Whether it is no region but a code."""
    return len(region) == 1


def pysot_overlap(a: Region, b: Region, bounds: Bounds | None = None) -> float:
    """As pysot's toolkit counts: rectangles are drawn as polygons that reach from x to x + w, both pixels included.

    NaN if one is a code; 0 if the bounding boxes share no area or one of them is next to nothing."""
    if is_code(a) or is_code(b):
        return math.nan
    polygons = [_corners(region).astype(np.float32) for region in (a, b)]
    boxes = [_outer_box(polygon, bounds) for polygon in polygons]
    areas = [float((box[2] - box[0]) * (box[3] - box[1])) for box in boxes]
    if min(areas) <= 0 or min(areas) / max(areas) < _RATIO or not _share_area(*boxes):
        return 0.0
    left, top = (min(box[side] for box in boxes) for side in (0, 1))
    right, bottom = (max(box[side] for box in boxes) for side in (2, 3))
    corner = np.array([left, top], np.float32)
    width, height = int(right - left) + 1, int(bottom - top) + 1
    return _shared(*(_drawn(_half_away(each - corner), width, height, single=False) for each in polygons))


def vot_overlap(a: Region, b: Region, bounds: Bounds | None = None) -> float:
    """As vot-toolkit counts: numbers rounded (halves to even), rectangles from x to x + w - 1. 0 if one is a code, 1 if
    neither has any extent."""
    rounded = [np.round(region.astype(np.float32)).astype(np.float64) for region in (a, b)]
    boxes = [_inner_box(region) for region in rounded]
    left, top = (int(min(box[side] for box in boxes)) for side in (0, 1))
    right, bottom = (int(max(box[side] for box in boxes)) for side in (2, 3))
    if left >= right or top >= bottom:
        return 1.0
    if bounds is not None:
        left, top, right, bottom = max(left, 0), max(top, 0), min(right, bounds[0] - 1), min(bottom, bounds[1] - 1)
        if left >= right or top >= bottom:
            return 0.0
    return _shared(*(_painted(region, left, top, right - left + 1, bottom - top + 1) for region in rounded))


def start_box(region: Region) -> Region:
    """(4,) the upright box that a tracker is started with, as pysot's test script makes it of a polygon: around the
    mean of the corners, with the polygon's area and the shape of its bounding box. A rectangle is returned as it is."""
    if len(region) == 4:
        return region
    corners = region.reshape(-1, 2)
    (cx, cy), (w, h) = corners.mean(axis=0), np.ptp(corners, axis=0)
    area = np.linalg.norm(corners[0] - corners[1]) * np.linalg.norm(corners[1] - corners[2])
    scale = math.sqrt(area / (w * h)) if w * h > 0 else 0.0
    w, h = scale * w + 1, scale * h + 1
    return np.array([cx - (w - 1) / 2, cy - (h - 1) / 2, w, h])


def truth_polygon(region: Region) -> Region:
    """(2 K,) the polygon that pysot's toolkit makes of a true rectangle, whose last pixel is x + w - 1."""
    if len(region) != 4:
        return region
    x, y, w, h = region
    return np.array([x, y, x, y + h - 1, x + w - 1, y + h - 1, x + w - 1, y])


def _corners(region: Region) -> Region:
    if len(region) != 4:
        return region.reshape(-1, 2)
    x, y, w, h = region
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])


def _outer_box(polygon: NDArray[np.float32], bounds: Bounds | None) -> tuple[float, float, float, float]:
    left, top = np.floor(polygon.min(axis=0)).tolist()
    right, bottom = np.ceil(polygon.max(axis=0)).tolist()
    if bounds is None:
        return left, top, right, bottom
    return max(left, 0), max(top, 0), min(right, bounds[0]), min(bottom, bounds[1])


def _share_area(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return min(a[2], b[2]) > max(a[0], b[0]) and min(a[3], b[3]) > max(a[1], b[1])


def _inner_box(region: Region) -> tuple[float, float, float, float]:
    if is_code(region):
        return 0.0, 0.0, 0.0, 0.0
    if len(region) == 4:
        x, y, w, h = region
        return x, y, x + w - 1, y + h - 1
    corners = region.reshape(-1, 2)
    return (*corners.min(axis=0), *corners.max(axis=0))


def _painted(region: Region, left: int, top: int, width: int, height: int) -> Mask:
    """(height, width) the part of the region in this rectangle."""
    if len(region) == 4:
        mask = np.zeros((height, width), np.bool_)
        x, y, w, h = (int(value) for value in region)
        mask[max(y - top, 0) : max(y - top + h, 0), max(x - left, 0) : max(x - left + w, 0)] = True
        return mask
    if is_code(region):
        return np.zeros((height, width), np.bool_)
    return _drawn(region.reshape(-1, 2) - (left, top), width, height, single=True)


def _half_away(values: NDArray[np.float32]) -> Region:
    """Rounded, halves away from zero."""
    return np.asarray(np.copysign(np.floor(np.abs(values) + np.float32(0.5)), values), np.float64)


def _drawn(polygon: Region, width: int, height: int, *, single: bool) -> Mask:
    """(height, width) the polygon with whole-numbered corners (K, 2), filled row by row from edge to edge.

    In each row the edges' places (cut to whole pixels) are sorted and filled pair by pair, both ends included; the
    first of two equal places is skipped. single: unless they are the last two, so that a row of one pixel is drawn;
    there the toolkits differ."""
    nodes = np.sort(_crossings(polygon, height), axis=1)
    counts = np.isfinite(nodes).sum(axis=1)
    changes = np.zeros((height, width + 1), np.int64)
    position = np.zeros(height, np.int64)
    for node in range(nodes.shape[1] - 1):
        active = (position == node) & (node < counts - 1)
        repeated = active & (nodes[:, node] == nodes[:, node + 1])
        if single:
            repeated &= node < counts - 2
        position[repeated] = node + 1
        rows = np.flatnonzero(active & ~repeated)
        position[rows] = node + 2
        start, end = nodes[rows, node], nodes[rows, node + 1]
        seen = (start < width) & (end >= 0)
        rows, start, end = rows[seen], np.maximum(start[seen], 0), np.minimum(end[seen], width - 1)
        np.add.at(changes, (rows, start.astype(np.int64)), 1)
        np.add.at(changes, (rows, end.astype(np.int64) + 1), -1)
    return np.asarray(changes.cumsum(axis=1)[:, :width] > 0)


def _crossings(polygon: Region, height: int) -> Region:
    """(height, K) where each edge crosses each row; infinite where it does not. A level edge counts with its end."""
    end, start = polygon, np.roll(polygon, 1, axis=0)
    rows = np.arange(height, dtype=np.float64)[:, None]
    low, high = np.minimum(start[:, 1], end[:, 1]), np.maximum(start[:, 1], end[:, 1])
    rise, run = start[:, 1] - end[:, 1], start[:, 0] - end[:, 0]
    level = rise == 0
    at = np.trunc(end[:, 0] + (rows - end[:, 1]) / np.where(level, 1, rise) * np.where(level, 0, run))
    return np.where((rows >= low) & (rows <= high), at, np.inf)


def _shared(a: Mask, b: Mask) -> float:
    union = int((a | b).sum())
    return int((a & b).sum()) / union if union else 0.0
