"""Choice of the best box among the candidates of a score map: the reference in numpy of what the search graph does.

For each candidate, with sz(w, h) = sqrt((w + p)(h + p)), p = (w + h) / 2, and change(r) = max(r, 1 / r):

    size_change  = change(sz(box) / sz(target))
    ratio_change = change((target.w / target.h) / (box.w / box.h))
    penalty      = exp(-(size_change ratio_change - 1) penalty_k)
    ranking      = penalty score (1 - window_influence) + window window_influence

and the best candidate is the first one with the highest ranking (SiamFC++, SiamRPN and NanoTrack rank in the same way).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.geometry import FloatArray as AnyFloats
from models.geometry import intersection_over_union
from models.grids import Grid
from models.runtimes.base import Best, FloatArray

MIN_NEIGHBOURHOOD_CELLS = 2
_TINY = 1e-6


def select(score: FloatArray, boxes: FloatArray, size: FloatArray, loop: FloatArray, grid: Grid, stride: int) -> Best:
    """The best candidate and the runner-up of each of B score maps.

    score (B, N) 0..1; boxes (B, 4, N) cx, cy, w, h in crop pixels; size (B, 2) w, h of the targets in crop pixels; loop
    (B, 3) penalty_k, window_influence, size_lr (the last one is used later, by the tracking loop); stride: crop pixels
    per cell. The runner-up is the highest score (before penalty and window) among the candidates outside the best one's
    neighbourhood, see `runner_up`.
    """
    penalty = scale_penalty(boxes, size, loop[:, 0])
    influence = loop[:, 1, None]
    ranking = penalty * score * (1 - influence) + grid.window * influence
    index = ranking.argmax(axis=1)
    batch = np.arange(len(score))
    best = np.empty((len(score), 8), np.float32)
    best[:, :4] = boxes[batch, :, index]
    best[:, 4] = score[batch, index]
    best[:, 5] = penalty[batch, index]
    best[:, 6] = ranking[batch, index]
    best[:, 7] = index
    return Best(best, runner_up(score, boxes, size, index, grid, stride))


def doubted(followed: Best, doubting: Best, agreement: float) -> Best:
    """What the second of two templates chose, doubted by the first one: the score is the lower one of theirs, and 0
    where their boxes overlap by less than `agreement` (IoU)."""
    corners = [
        np.concatenate([each.best[:, :2] - each.best[:, 2:4] / 2, each.best[:, 2:4]], 1)
        for each in (followed, doubting)
    ]
    best = followed.best.copy()
    best[:, 4] = np.minimum(best[:, 4], doubting.best[:, 4]) * (intersection_over_union(*corners) >= agreement)
    return Best(best, followed.peak2)


def scale_penalty(boxes: FloatArray, size: FloatArray, penalty_k: FloatArray) -> AnyFloats:
    """(B, N) in 0..1: 1 where a candidate's box has the target's size and shape, less the more it differs."""
    w, h = np.maximum(boxes[:, 2], _TINY), np.maximum(boxes[:, 3], _TINY)
    target_w, target_h = np.maximum(size[:, 0, None], _TINY), np.maximum(size[:, 1, None], _TINY)
    size_change = _change(_padded_size(w, h) / _padded_size(target_w, target_h))
    ratio_change = _change((target_w / target_h) / (w / h))
    return np.asarray(np.exp(-(size_change * ratio_change - 1) * penalty_k[:, None]))


def runner_up(
    score: FloatArray, boxes: FloatArray, size: FloatArray, index: NDArray[np.intp], grid: Grid, stride: int
) -> FloatArray:
    """(B, 2): the highest score outside the best one's neighbourhood, and its box centre's distance in crop pixels.

    The neighbourhood are the cells less than half the target's width and height away from the best one's, and less than
    MIN_NEIGHBOURHOOD_CELLS in any case; where it covers the whole map, both numbers are 0.
    """
    reach = np.maximum(size / 2, MIN_NEIGHBOURHOOD_CELLS * stride)
    offset = np.abs(grid.cells[None] - grid.cells[:, index].T[:, :, None])
    near = (offset < reach[:, :, None]).all(axis=1)
    # Every score is 0 or more, so -1 marks the candidates that do not count.
    others = np.where(near, -1, score)
    batch = np.arange(len(score))
    second = others.argmax(axis=1)
    peak = others[batch, second]
    apart = boxes[batch, :2, second] - boxes[batch, :2, index]
    distance = np.hypot(apart[:, 0], apart[:, 1])
    return np.where(peak[:, None] < 0, 0, np.stack([peak, distance], axis=1)).astype(np.float32)


def _padded_size(w: AnyFloats, h: AnyFloats) -> AnyFloats:
    pad = (w + h) / 2
    return np.asarray(np.sqrt((w + pad) * (h + pad)))


def _change(ratio: AnyFloats) -> AnyFloats:
    return np.asarray(np.maximum(ratio, 1 / ratio))
