"""Scores of one tracked sequence: pure functions of predicted and true boxes, (N, 4) x, y, w, h in pixels.

The functions score every row that they get; `scored_frames` says which rows count. A predicted box that is not finite
overlaps nothing and lies infinitely far away.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.geometry import FloatArray, centre_distance, intersection_over_union

SUCCESS_THRESHOLDS = np.arange(21) * 0.05
"""IoU 0, 0.05 ... 1 of the success curve (OTB)."""
NORMALIZED_THRESHOLDS = np.arange(51) * 0.01
"""0, 0.01 ... 0.5 of the normalised precision curve (TrackingNet paper, sec. 5.1)."""
PRECISION_PX = 20.0
"""Centre error in pixels at which precision is read (OTB)."""


@dataclass(frozen=True, slots=True)
class Scores:
    """Metrics of one tracked sequence, each 0..1, or means of them; `frames` is how many frames were scored."""

    auc: float
    precision20: float
    normalized_precision: float
    ao: float
    sr50: float
    sr75: float
    frames: int


METRICS = ("auc", "precision20", "normalized_precision", "ao", "sr50", "sr75")
"""The metrics' names, in the order in which they are shown."""


def scored_frames(truth: FloatArray) -> NDArray[np.bool_]:
    """(N,) which frames count: those with a true box (no NaN), and never the first, whose box was given."""
    scored = np.array(~np.isnan(truth).any(axis=1), np.bool_)
    scored[:1] = False
    return scored


def score(predicted: FloatArray, truth: FloatArray) -> Scores:
    """Every metric of a whole sequence; raises ValueError when lengths differ or no frame counts."""
    if predicted.shape != truth.shape:
        raise ValueError(f"{len(predicted)} predicted boxes for {len(truth)} frames")
    scored = scored_frames(truth)
    if not scored.any():
        raise ValueError("no frame after the first has a true box: nothing to score")
    predicted, truth = predicted[scored], truth[scored]
    return Scores(
        auc=success_auc(predicted, truth),
        precision20=precision(predicted, truth, PRECISION_PX),
        normalized_precision=normalized_precision_auc(predicted, truth),
        ao=average_overlap(predicted, truth),
        sr50=success_rate(predicted, truth, 0.5),
        sr75=success_rate(predicted, truth, 0.75),
        frames=len(truth),
    )


def mean_scores(scores: Iterable[Scores]) -> Scores:
    """The mean of each metric over sequences, every sequence counting the same; `frames` is the sum."""
    listed = list(scores)
    means = {name: float(np.mean([getattr(item, name) for item in listed])) for name in METRICS}
    return Scores(**means, frames=sum(item.frames for item in listed))


def success_auc(predicted: FloatArray, truth: FloatArray) -> float:
    """Mean over 21 thresholds of the share of frames whose IoU is above (not equal to) the threshold.

    A perfect tracker gets 20/21, as no IoU is above 1.
    """
    above = _overlaps(predicted, truth)[:, None] > SUCCESS_THRESHOLDS
    return float(above.mean())


def success_rate(predicted: FloatArray, truth: FloatArray, threshold: float) -> float:
    """Share of frames with an IoU above `threshold` (GOT-10k's SR)."""
    return float((_overlaps(predicted, truth) > threshold).mean())


def average_overlap(predicted: FloatArray, truth: FloatArray) -> float:
    """Mean IoU (GOT-10k's AO)."""
    return float(_overlaps(predicted, truth).mean())


def precision(predicted: FloatArray, truth: FloatArray, limit_px: float) -> float:
    """Share of frames with a centre error of at most `limit_px` pixels."""
    error = _finite_or(centre_distance(predicted, truth), np.inf)
    return float((error <= limit_px).mean())


def normalized_precision_auc(predicted: FloatArray, truth: FloatArray) -> float:
    """TrackingNet's normalised precision: the centre error is divided by the true box's w (x) and h (y).

    Mean over 51 thresholds 0, 0.01 ... 0.5 of the share of frames with an error of at most the threshold.
    """
    offset = (predicted[:, :2] + predicted[:, 2:] / 2) - (truth[:, :2] + truth[:, 2:] / 2)
    error = _finite_or(np.linalg.norm(offset / np.maximum(truth[:, 2:], 1e-9), axis=1), np.inf)
    return float((error[:, None] <= NORMALIZED_THRESHOLDS).mean())


def _overlaps(predicted: FloatArray, truth: FloatArray) -> FloatArray:
    # Rounding can lift the IoU of equal boxes above 1, and with it above the last threshold.
    return np.minimum(_finite_or(intersection_over_union(predicted, truth), 0.0), 1.0)


def _finite_or(values: FloatArray, replacement: float) -> FloatArray:
    return np.where(np.isfinite(values), values, replacement)
