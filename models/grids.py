"""Where the candidates of a score map are, and the cosine window over them, in the order of the published outputs.

A network gives N scores and N boxes for one search crop. Networks without anchors have one candidate for each cell, in
reading order; those with anchors have several, and their order differs between the published code bases.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.geometry import FloatArray as AnyFloats
from models.runtimes.base import FloatArray

ANCHOR_RATIOS = (0.33, 0.5, 1.0, 2.0, 3.0)
"""Height / width of the anchors of every published tracker, in their order."""
ANCHOR_SCALE = 8
"""A square anchor's side, in cells."""


class Grid(NamedTuple):
    """The candidates of one score map; arrays are read-only."""

    cells: FloatArray
    """(2, N): x and y of each candidate's cell in search crop pixels; (0, 0) is the centre of the top-left pixel."""
    window: FloatArray
    """(N,) in 0..1: the window that is added to the ranking."""


def line(search_size: int, map_size: int, stride: int) -> FloatArray:
    """(map_size,) positions of the cells along a side, in search crop pixels.

    search_size // 2 - map_size // 2 * stride for the first one; maps with an even number of cells lie one stride to the
    left and above the centre (pysot, anchor.py; equal to video_analyst's track_head.py for its odd maps)."""
    first = search_size // 2 - map_size // 2 * stride
    return (first + stride * np.arange(map_size)).astype(np.float32)


@functools.cache
def points(search_size: int, map_size: int, stride: int) -> Grid:
    """One candidate for each cell, row by row, under the published window, whose border cells are 0."""
    positions = line(search_size, map_size, stride)
    y, x = np.meshgrid(positions, positions, indexing="ij")
    return _frozen(np.stack([x.ravel(), y.ravel()]), published_window(map_size).ravel())


@functools.cache
def cell_centres(search_size: int, map_size: int, stride: int) -> Grid:
    """One candidate in the middle of each stride x stride block of pixels; the window's border cells are not 0.

    Here (0, 0) is the corner of the top-left pixel: the convention of our own networks."""
    positions = ((np.arange(map_size) + 0.5) * stride).astype(np.float32)
    y, x = np.meshgrid(positions, positions, indexing="ij")
    window = np.outer(np.hanning(map_size + 2)[1:-1], np.hanning(map_size + 2)[1:-1])
    return _frozen(np.stack([x.ravel(), y.ravel()]), window.ravel())


def published_window(map_size: int) -> FloatArray:
    """(map_size, map_size) outer product of two Hann windows, as all published loops have it: 0 at the border."""
    return np.outer(np.hanning(map_size), np.hanning(map_size)).astype(np.float32)


def truncated_shapes(stride: int) -> FloatArray:
    """(A, 2) w, h of the anchors of pysot and its kin: the height comes from the width that is cut to whole cells.

    pysot, utils/anchor.py: w = int(sqrt(s s / r)), h = int(w r), times the stride, s = 8 cells."""
    widths = np.trunc(np.sqrt(ANCHOR_SCALE**2 / np.array(ANCHOR_RATIOS)))
    return _shapes(widths, np.trunc(widths * ANCHOR_RATIOS), stride)


def separately_truncated_shapes(stride: int) -> FloatArray:
    """(A, 2) w, h of mmtracking's anchors: width and height are cut to whole cells each for itself.

    mmtracking, core/anchor/sot_anchor_generator.py: w = int(s / sqrt(r)), h = int(s sqrt(r)), times the stride."""
    roots = np.sqrt(ANCHOR_RATIOS)
    return _shapes(np.trunc(ANCHOR_SCALE / roots), np.trunc(ANCHOR_SCALE * roots), stride)


def exact_shapes(stride: int) -> FloatArray:
    """(A, 2) w, h of anchors that are not cut to whole cells (SiamRPN-TF, model/generate_anchors.py)."""
    widths = np.sqrt(ANCHOR_SCALE**2 / np.array(ANCHOR_RATIOS))
    return _shapes(widths, widths * ANCHOR_RATIOS, stride)


def anchors_by_shape(positions: FloatArray, shapes: FloatArray) -> FloatArray:
    """(N, 4) cx, cy, w, h: all cells, row by row, with the first shape, then all with the second one, and so on.

    positions (map_size,) of the cells along a side, as `line` gives them; shapes (A, 2)."""
    shape, y, x = _indices(positions, shapes)
    return _anchors(positions[x], positions[y], shapes[shape])


def anchors_by_cell(positions: FloatArray, shapes: FloatArray) -> FloatArray:
    """(N, 4) cx, cy, w, h: all shapes at the first cell, then all at the second one, and so on, row by row."""
    shape, y, x = (np.moveaxis(index, 0, -1) for index in _indices(positions, shapes))
    return _anchors(positions[x], positions[y], shapes[shape])


def window_by_shape(map_size: int, shapes: int) -> FloatArray:
    """(N,) the published window, once for each shape."""
    return np.tile(published_window(map_size).ravel(), shapes)


def window_by_cell(map_size: int, shapes: int) -> FloatArray:
    """(N,) the published window, each of its values repeated for every shape."""
    return np.repeat(published_window(map_size).ravel(), shapes)


def anchored(anchors: FloatArray, window: FloatArray) -> Grid:
    """One candidate for each of the (N, 4) anchors, under the (N,) window."""
    return _frozen(anchors[:, :2].T, window)


def _shapes(widths: AnyFloats, heights: AnyFloats, stride: int) -> FloatArray:
    return (np.stack([widths, heights], axis=1) * stride).astype(np.float32)


def _indices(positions: FloatArray, shapes: FloatArray) -> tuple[NDArray[np.intp], ...]:
    return tuple(np.indices((len(shapes), len(positions), len(positions)), np.intp))


def _anchors(cx: FloatArray, cy: FloatArray, shapes: FloatArray) -> FloatArray:
    return np.concatenate([np.stack([cx, cy], axis=-1), shapes], axis=-1).reshape(-1, 4)


def _frozen(cells: AnyFloats, window: AnyFloats) -> Grid:
    grid = Grid(np.ascontiguousarray(cells, np.float32), np.ascontiguousarray(window, np.float32))
    for array in grid:
        array.flags.writeable = False  # shared by all callers
    return grid
