"""Choice of the best box on a score map: the reference in numpy of what the search graph does.

For each cell, with sz(w, h) = sqrt((w + p)(h + p)), p = (w + h) / 2, and change(r) = max(r, 1 / r):

    size_change  = change(sz(box) / sz(target))
    ratio_change = change((target.w / target.h) / (box.w / box.h))
    penalty      = exp(-(size_change ratio_change - 1) penalty_k)
    ranking      = penalty score (1 - window_influence) + window window_influence

and the best cell is the first one with the highest ranking (SiamFC++ and SiamRPN rank in the same way).
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from models.geometry import FloatArray as AnyFloats
from models.runtimes.base import Best, FloatArray

MIN_NEIGHBOURHOOD_CELLS = 2
_TINY = 1e-6


def select(score: FloatArray, boxes: FloatArray, size: FloatArray, loop: FloatArray, stride: int) -> Best:
    """The best box and the runner-up of each of B score maps.

    score (B, H, W) 0..1; boxes (B, 4, H, W) cx, cy, w, h in crop pixels, each cell's own; size (B, 2) w, h of the
    targets in crop pixels; loop (B, 3) penalty_k, window_influence, size_lr (the last one is used later, by the
    tracking loop); stride: crop pixels per cell. The runner-up is the highest score (before penalty and window) among
    the cells outside the best one's neighbourhood, see `runner_up`.
    """
    count, _, columns = score.shape
    penalty = scale_penalty(boxes, size, loop[:, 0])
    influence = loop[:, 1, None, None]
    ranking = penalty * score * (1 - influence) + hanning_window(*score.shape[1:]) * influence
    row, column = np.divmod(ranking.reshape(count, -1).argmax(axis=1), columns)
    batch = np.arange(count)
    best = np.empty((count, 6), np.float32)
    best[:, :4] = boxes[batch, :, row, column]
    best[:, 4] = score[batch, row, column]
    best[:, 5] = penalty[batch, row, column]
    return Best(best, runner_up(score, boxes, size, row, column, stride))


def scale_penalty(boxes: FloatArray, size: FloatArray, penalty_k: FloatArray) -> AnyFloats:
    """(B, H, W) in 0..1: 1 where a cell's box has the target's size and shape, less the more it differs."""
    w, h = np.maximum(boxes[:, 2], _TINY), np.maximum(boxes[:, 3], _TINY)
    target_w, target_h = np.maximum(size[:, 0, None, None], _TINY), np.maximum(size[:, 1, None, None], _TINY)
    size_change = _change(_padded_size(w, h) / _padded_size(target_w, target_h))
    ratio_change = _change((target_w / target_h) / (w / h))
    return np.asarray(np.exp(-(size_change * ratio_change - 1) * penalty_k[:, None, None]))


def runner_up(
    score: FloatArray,
    boxes: FloatArray,
    size: FloatArray,
    row: NDArray[np.intp],
    column: NDArray[np.intp],
    stride: int,
) -> FloatArray:
    """(B, 2): the highest score outside the best cell's neighbourhood, and its box centre's distance in crop pixels.

    The neighbourhood are the cells less than half the target's width and height away from the best one, and less than
    MIN_NEIGHBOURHOOD_CELLS in any case; where it covers the whole map, both numbers are 0.
    """
    count, rows, columns = score.shape
    reach = np.maximum(size / (2 * stride), MIN_NEIGHBOURHOOD_CELLS)
    near_row = np.abs(np.arange(rows)[None, :] - row[:, None]) < reach[:, 1, None]
    near_column = np.abs(np.arange(columns)[None, :] - column[:, None]) < reach[:, 0, None]
    # Every score is 0 or more, so -1 marks the cells that do not count.
    others = np.where(near_row[:, :, None] & near_column[:, None, :], -1, score).reshape(count, -1)
    batch = np.arange(count)
    second = others.argmax(axis=1)
    peak = others[batch, second]
    centres = boxes[:, :2].reshape(count, 2, -1)
    offset = centres[batch, :, second] - centres[batch, :, row * columns + column]
    distance = np.hypot(offset[:, 0], offset[:, 1])
    return np.where(peak[:, None] < 0, 0, np.stack([peak, distance], axis=1)).astype(np.float32)


@functools.cache
def hanning_window(rows: int, columns: int) -> FloatArray:
    """(rows, columns) cosine window, 1 at the centre of odd sizes; its border cells are not 0."""
    window = np.outer(np.hanning(rows + 2)[1:-1], np.hanning(columns + 2)[1:-1]).astype(np.float32)
    window.flags.writeable = False  # one array for all callers
    return window


def _padded_size(w: AnyFloats, h: AnyFloats) -> AnyFloats:
    pad = (w + h) / 2
    return np.asarray(np.sqrt((w + pad) * (h + pad)))


def _change(ratio: AnyFloats) -> AnyFloats:
    return np.asarray(np.maximum(ratio, 1 / ratio))
