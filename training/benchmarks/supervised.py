"""VOT's supervised experiment: accuracy, robustness and expected average overlap, as two published toolkits have them.

A tracker that has missed its target is started anew five frames later. The toolkits differ in how they count pixels
(`regions`), in what they average (pysot: frames; vot-toolkit: sequences, weighted by their length) and in where a
failed run ends in the expected overlap.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from training.benchmarks.regions import Bounds, Region, pysot_overlap, vot_overlap
from training.benchmarks.trajectories import Code, Trajectory, is_a

BURN_IN = 10
"""Frames from each start that accuracy leaves out."""
SKIPPED = 5
"""A failure's distance from the next start."""
EAO_RANGES: Mapping[str, tuple[int, int]] = {"vot2016": (108, 371), "vot2018": (100, 356), "vot2019": (46, 291)}
"""Over which lengths the expected overlap is averaged, by year."""

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class SupervisedRun:
    """What a tracker made of one sequence, beside the truth. `size`: width and height of the frames."""

    trajectory: Trajectory
    truth: Sequence[Region]
    size: Bounds

    # Each overlap is counted pixel by pixel, and several measures need it: once is enough.
    @cached_property
    def pysot_overlaps(self) -> Floats:
        """(N,) for accuracy."""
        return self._overlaps(pysot_overlap, self.size)

    @cached_property
    def pysot_inner_overlaps(self) -> Floats:
        """(N,) for the expected overlap, which leaves out the last row and column."""
        return self._overlaps(pysot_overlap, (self.size[0] - 1, self.size[1] - 1))

    @cached_property
    def vot_overlaps(self) -> Floats:
        """(N,) as vot-toolkit counts."""
        return self._overlaps(vot_overlap, self.size)

    def _overlaps(self, overlap: Callable[[Region, Region, Bounds], float], bounds: Bounds) -> Floats:
        return np.array([overlap(one, other, bounds) for one, other in zip(self.trajectory, self.truth, strict=True)])


@dataclass(frozen=True, slots=True)
class SupervisedScores:
    """Of several sequences together, or of one."""

    accuracy: float
    robustness: float
    """pysot: failures for 100 frames; vot-toolkit: failures for a sequence"""
    failures: int
    eao: float


def pysot_scores(runs: Sequence[SupervisedRun], eao_range: tuple[int, int]) -> SupervisedScores:
    """As pysot's toolkit has them; the accuracy is 0 if no frame counts."""
    lost = sum(map(failures, runs))
    counted = np.concatenate([pysot_accuracies(run) for run in runs])
    counted = counted[~np.isnan(counted)]
    return SupervisedScores(
        _mean(counted),
        100 * lost / sum(len(run.trajectory) for run in runs),
        lost,
        pysot_eao(runs, eao_range),
    )


def pysot_accuracies(run: SupervisedRun) -> Floats:
    """(N,) overlaps; NaN in the frames that do not count: codes, and the first BURN_IN ones of each start."""
    counted = run.pysot_overlaps.copy()
    for start in _places(run, Code.INITIALIZED):
        counted[start : start + BURN_IN] = np.nan
    return counted


def pysot_eao(runs: Sequence[SupervisedRun], eao_range: tuple[int, int], tags: Sequence[Flags] | None = None) -> float:
    """Expected average overlap as pysot's toolkit has it. tags: (N,) for each run; parts count by their share of
    tagged frames."""
    flags = tags or [np.ones(len(run.trajectory), np.bool_) for run in runs]
    longest = max(len(run.trajectory) for run in runs)
    parts: list[Floats] = []
    weights: list[float] = []
    for run, flag in zip(runs, flags, strict=True):
        overlaps = run.pysot_inner_overlaps
        for start, end in _pysot_parts(run):
            failed = end <= len(overlaps)
            part = np.full(longest, 0.0 if failed else np.nan)
            taken = np.nan_to_num(overlaps[start : end if failed else None])
            part[: len(taken)] = taken
            parts.append(part)
            weights.append(float(flag[start:end].mean()) if len(flag[start:end]) else 0.0)
    curve = _expected(np.array(parts), np.array(weights))
    low, high = eao_range
    return _mean(curve[low - 1 : high])


def vot_scores(runs: Sequence[SupervisedRun], eao_range: tuple[int, int]) -> SupervisedScores:
    """As vot-toolkit has them."""
    lengths = np.array([len(run.trajectory) for run in runs])
    lost = np.array([failures(run) for run in runs])
    accuracies = np.array([vot_accuracy(run) for run in runs])
    low, high = eao_range
    return SupervisedScores(
        float((accuracies * lengths).sum() / lengths.sum()),
        float((lost * lengths).sum() / lengths.sum()),
        int(lost.sum()),
        _mean(vot_eao_curve(runs)[low : high + 1]),
    )


def vot_accuracy(run: SupervisedRun) -> float:
    """vot-toolkit's accuracy of one sequence; 0 if no frame counts."""
    counted = np.array([not is_a(row, Code.UNKNOWN) and not is_a(row, Code.FAILED) for row in run.trajectory])
    for start in _places(run, Code.INITIALIZED):
        counted[start : start + BURN_IN] = False
    return _mean(run.vot_overlaps[counted])


def vot_eao_curve(runs: Sequence[SupervisedRun]) -> Floats:
    """(L,) vot-toolkit's expected overlap by length, up to that of the longest part. A failed part counts as 0 from its
    failure on, for ever; the part that reaches the end of its sequence counts up to there."""
    parts: list[tuple[Floats, bool]] = []
    for run in runs:
        overlaps = run.vot_overlaps
        lost, starts = _places(run, Code.FAILED), _places(run, Code.INITIALIZED)
        parts += ((overlaps[start:end], end is not None) for start, end in zip(starts, [*lost, None], strict=False))
    filled = np.full((len(parts), max(len(part) for part, _ in parts)), np.nan)
    for row, (part, failed) in zip(filled, parts, strict=True):
        row[len(part) :] = 0.0 if failed else np.nan
        row[: len(part)] = part
    return _expected(filled, np.ones(len(parts)))


def failures(run: SupervisedRun) -> int:
    """How often the target was missed."""
    return len(_places(run, Code.FAILED))


def _mean(values: Floats) -> float:
    """Their mean; 0 of none, as where no sequence is as long as the year's shortest length."""
    return float(values.mean()) if len(values) else 0.0


def _places(run: SupervisedRun, value: Code) -> list[int]:
    return [frame for frame, region in enumerate(run.trajectory) if is_a(region, value)]


def _pysot_parts(run: SupervisedRun) -> list[tuple[int, int]]:
    """Start and end of each part. One that failed reaches to the next start, that frame included; the last one's end
    lies behind the sequence's."""
    count = len(run.trajectory)
    starts = [0, *(place + SKIPPED for place in _places(run, Code.FAILED) if place + SKIPPED <= count)]
    return [*((start, end + 1) for start, end in itertools.pairwise(starts)), (starts[-1], count + 1)]


def _expected(parts: Floats, weights: Floats) -> Floats:
    """(L,) the weighted mean, over the (P, L) parts that have a value there, of each part's mean from frame 1 on."""
    means = np.zeros_like(parts)
    means[:, 1:] = np.cumsum(parts[:, 1:], axis=1) / np.arange(1, parts.shape[1])
    weighed = np.where(np.isnan(parts), 0.0, weights[:, None])
    total, summed = weighed.sum(axis=0), (weighed * np.nan_to_num(means)).sum(axis=0)
    return np.asarray(np.divide(summed, total, out=np.zeros(len(total)), where=total > 0))
