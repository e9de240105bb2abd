"""VOT's long-term measures: precision, recall and F-score over thresholds of the tracker's own confidence, as two
published toolkits have them. The score is the best F-score of any threshold.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.benchmarks.regions import Bounds, Region, is_code, pysot_overlap, vot_overlap
from training.benchmarks.trajectories import Trajectory

RESOLUTION = 100
"""How many thresholds are tried."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class LongTermRun:
    """What a tracker made of one sequence. `confidences`: (N,), NaN where it has said nothing. Frames in which `truth`
    is a code are those without the target."""

    trajectory: Trajectory
    confidences: Floats
    truth: Sequence[Region]
    size: Bounds


@dataclass(frozen=True, slots=True)
class LongTermScores:
    """At the threshold with the best F-score."""

    precision: float
    recall: float
    f_score: float
    threshold: float


def pysot_scores(runs: Sequence[LongTermRun]) -> LongTermScores:
    """As pysot's toolkit has them."""
    scores = np.sort(np.concatenate([run.confidences[~np.isnan(run.confidences)] for run in runs]))
    if len(scores) > RESOLUTION - 2:
        step = len(scores) // (RESOLUTION - 2)
        scores = scores[np.floor(np.linspace(step - 1, len(scores) - step, RESOLUTION - 2) + 0.5).astype(int)]
    thresholds = np.array([math.inf, *scores[::-1], -math.inf])

    def chosen(run: LongTermRun, threshold: float) -> NDArray[np.bool_]:
        known = np.nan_to_num(run.confidences)
        return np.asarray(known > 0 if threshold == -math.inf else known >= threshold, np.bool_)

    return _best(runs, thresholds, [_pysot_overlaps(run) for run in runs], chosen)


def vot_scores(runs: Sequence[LongTermRun]) -> LongTermScores:
    """As vot-toolkit has them. A missing confidence is 0."""
    scores = np.sort(np.concatenate([np.nan_to_num(run.confidences) for run in runs]))[::-1]
    if len(scores) > RESOLUTION - 2:
        step = len(scores) // (RESOLUTION - 2)
        scores = scores[np.round(np.linspace(step, len(scores) - step, RESOLUTION - 2)).astype(int)]
    thresholds = np.array([math.inf, *scores, -math.inf])
    overlaps = [
        np.array([vot_overlap(a, b, run.size) for a, b in zip(run.trajectory, run.truth, strict=True)]) for run in runs
    ]
    return _best(runs, thresholds, overlaps, lambda run, at: np.asarray(np.nan_to_num(run.confidences) >= at))


def _pysot_overlaps(run: LongTermRun) -> Floats:
    """Frames without the target, and those of a code, have none."""
    pairs = zip(run.trajectory, run.truth, strict=True)
    return np.asarray(np.nan_to_num([pysot_overlap(a, b, run.size) for a, b in pairs]), np.float64)


def _best(
    runs: Sequence[LongTermRun],
    thresholds: Floats,
    overlaps: Sequence[Floats],
    chosen: Callable[[LongTermRun, float], NDArray[np.bool_]],
) -> LongTermScores:
    """Means over the sequences at each threshold: precision is 1 where nothing is chosen; then the best F-score."""
    precision, recall = np.zeros(len(thresholds)), np.zeros(len(thresholds))
    for run, overlap in zip(runs, overlaps, strict=True):
        present = sum(not is_code(region) for region in run.truth)
        for place, threshold in enumerate(thresholds):
            taken = overlap[chosen(run, threshold)]
            precision[place] += taken.mean() if len(taken) else 1.0
            recall[place] += taken.sum() / present
    precision, recall = precision / len(runs), recall / len(runs)
    total = precision + recall
    f_score = np.divide(2 * precision * recall, total, out=np.zeros(len(total)), where=total > 0)
    best = int(f_score.argmax())
    return LongTermScores(float(precision[best]), float(recall[best]), float(f_score[best]), float(thresholds[best]))
