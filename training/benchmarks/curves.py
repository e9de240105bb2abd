"""One-pass metrics as the published toolkits define them: pure functions of (N, 4) x, y, w, h boxes in pixels.

The toolkits differ in what they do with frames without a target, and by a rounding here and there; each rule is told by
the toolkit's name. Centres are x + (w - 1) / 2 in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

PYSOT_SUCCESS = np.arange(0, 1.05, 0.05)
"""IoU thresholds with the roundings of this very expression, as 0.15000000000000002."""
GOT10K_SUCCESS = np.linspace(0, 1, 21)
AO_SUCCESS = np.linspace(0, 1, 101)
"""IoU thresholds of GOT-10k's success curve."""
PRECISION = np.arange(51.0)
"""Centre errors in pixels."""
NORMALIZED = np.arange(51) / 100
"""Centre errors in shares of the true box's width and height."""
PRECISION_AT, NORMALIZED_AT, SUCCESS_AT = 20, 20, 10
"""Where the curves are read: at 20 px, at 0.20, at an IoU of 0.5."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Shares of frames, 0..1, of one sequence or means over sequences."""

    success: Floats
    """(21,) with an IoU above each threshold"""
    precision: Floats
    """(51,) with a centre error of at most each threshold"""
    normalized: Floats | None
    """(51,) the same of the normalised error; None where the toolkit has no such curve"""


def pysot_curves(predicted: Floats, truth: Floats, visible: Flags | None = None) -> Curves:
    """The OPE of pysot. Shares are of all frames, the first one and those without a target included.

    A truth without area overlaps nothing, and one whose centre is not above 0 in x and y counts as met at every
    distance. visible: (N,) as of LaSOT; frames that are not are taken out of the counts, but not out of the frames.
    """
    frames = len(truth)
    if visible is not None:
        predicted, truth = predicted[visible], truth[visible]
    overlaps = np.full(len(truth), -1.0)
    sized = (truth[:, 2:] > 0).all(axis=1)
    overlaps[sized] = iou(predicted[sized], truth[sized], 0.0)
    size = truth[:, 2:] + 1e-16
    return Curves(
        (overlaps[:, None] > PYSOT_SUCCESS).sum(axis=0) / frames,
        (_pysot_errors(centres(predicted), centres(truth))[:, None] <= PRECISION).sum(axis=0) / frames,
        (_pysot_errors(centres(predicted) / size, centres(truth) / size)[:, None] <= NORMALIZED).sum(axis=0) / frames,
    )


def got10k_curves(predicted: Floats, truth: Floats) -> Curves:
    """The got10k package's OTB and UAV123. Frames whose truth is NaN are left out, any other counts."""
    known = ~np.isnan(truth).any(axis=1)
    predicted, truth = predicted[known], truth[known]
    overlaps, errors = iou(predicted, truth), _distances(centres(predicted), centres(truth))
    return Curves((overlaps[:, None] > GOT10K_SUCCESS).mean(axis=0), (errors[:, None] <= PRECISION).mean(axis=0), None)


def got10k_overlaps(predicted: Floats, truth: Floats, covered: Flags, size: tuple[int, int]) -> Floats:
    """IoU of the frames that GOT-10k scores: all but the first, in which some of the target is seen.

    covered: (N,) whether the cover label is above 0. size: width and height of the frames, to which boxes are cut."""
    rows = got10k_rows(covered)
    return iou(_cut(predicted[rows], size), _cut(truth[rows], size))


def got10k_rows(covered: Flags) -> NDArray[np.intp]:
    """The frames that GOT-10k scores."""
    rows = np.flatnonzero(covered)
    return rows[rows > 0]


def success_of(overlaps: Floats) -> Floats:
    """(101,) GOT-10k's success curve of pooled overlaps."""
    return np.asarray((overlaps[:, None] > AO_SUCCESS).mean(axis=0))


def iou(a: Floats, b: Floats, epsilon: float = float(np.finfo(float).eps)) -> Floats:
    """(N,) intersection over union in 0..1. `epsilon` is added to the union, as the got10k package does."""
    corner = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:])
    inside = np.maximum(corner - np.maximum(a[:, :2], b[:, :2]), 0).prod(axis=1)
    union = a[:, 2:].prod(axis=1) + b[:, 2:].prod(axis=1) - inside + epsilon
    return np.asarray(np.clip(inside / union, 0, 1))


def centres(boxes: Floats) -> Floats:
    """(N, 2) centres as both toolkits have them. Whole, then subtracted: another order of the operations leaves 1e-14
    between equal boxes, which is a miss at the threshold 0."""
    return boxes[:, :2] + (boxes[:, 2:] - 1) / 2


def mean_curves(curves: list[Curves]) -> Curves:
    """The mean over sequences, each counting the same."""
    normalized = [each.normalized for each in curves if each.normalized is not None]
    return Curves(
        np.mean([each.success for each in curves], axis=0),
        np.mean([each.precision for each in curves], axis=0),
        np.mean(normalized, axis=0) if normalized else None,
    )


def _distances(a: Floats, b: Floats) -> Floats:
    return np.asarray(np.sqrt(((a - b) ** 2).sum(axis=1)))


def _pysot_errors(predicted: Floats, true: Floats) -> Floats:
    """(N,) distances; -1, a hit at every threshold, where the true centre is not above 0 in both coordinates."""
    positive = (true > 0).all(axis=1)
    errors = np.full(len(true), -1.0)
    errors[positive] = _distances(true[positive], predicted[positive])
    return errors


def _cut(boxes: Floats, size: tuple[int, int]) -> Floats:
    low = np.clip(boxes[:, :2], 0, size)
    return np.hstack([low, np.clip(boxes[:, 2:], 0, size - low)])
