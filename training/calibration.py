"""Fits what a model's score means, and says how good a probability that is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from models.calibration import logit, probability
from models.frames import Picture
from models.geometry import Box, intersection_over_union
from models.presence import State
from models.spec import MAX_CALIBRATION, CalibrationSpec
from models.target import Estimate
from models.tracker import Tracker
from training.datasets.sources import DataSet
from training.datasets.tracks import Track, View, decoded
from training.evaluation.sequences import Clip

ON_TARGET = 0.5
"""IoU from which a box is on its target."""
BINS = 15
"""Of the expected calibration error, as in Guo et al., "On Calibration of Modern Neural Networks", ICML 2017."""
SHIFT = 0.15
"""Standard deviation of a target's motion between the two pictures of a pair, in its sides."""
NEGATIVE_TRIES = 100

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Samples:
    """What a tracker said, (N,) each: score, whether its box was on the target, whether the target was absent, and
    whether the tracker said itself that it was lost."""

    score: Floats
    on_target: Flags
    absent: Flags
    lost: Flags

    @classmethod
    def of(cls, rows: Iterable[tuple[Estimate, bool, bool]]) -> Self:
        """From estimates, each with on_target and absent."""
        listed = list(rows)
        return cls(
            np.array([estimate.score for estimate, _, _ in listed], np.float64),
            np.array([on_target for _, on_target, _ in listed], np.bool_),
            np.array([absent for _, _, absent in listed], np.bool_),
            np.array([estimate.state is State.LOST for estimate, _, _ in listed], np.bool_),
        )

    @classmethod
    def joined(cls, parts: Iterable[Self]) -> Self:
        """All of them, one after the other."""
        listed = list(parts)
        return cls(
            np.concatenate([part.score for part in listed]),
            np.concatenate([part.on_target for part in listed]),
            np.concatenate([part.absent for part in listed]),
            np.concatenate([part.lost for part in listed]),
        )

    def following(self) -> Self:
        """Those whose box is where the tracker looked: not those it said to be lost, whose box stands still."""
        kept = ~self.lost
        return type(self)(self.score[kept], self.on_target[kept], self.absent[kept], self.lost[kept])

    def probabilities(self, spec: CalibrationSpec) -> Floats:
        """Those of the scores, 0..1."""
        return np.array([probability(score, spec) for score in self.score.tolist()], np.float64)


def followed(tracker: Tracker, clips: Iterable[Clip], done: Callable[[], None] = lambda: None) -> Samples:
    """Samples of every frame after the first of each clip; `done` is called after each."""
    rows: list[tuple[Estimate, bool, bool]] = []
    for clip in clips:
        target = None
        for index, (frame, truth) in enumerate(zip(clip.frames(), clip.truth, strict=True)):
            if target is None:
                target = tracker.start(frame, clip.first_box)
                continue
            estimate = tracker.follow(target, Picture.of(frame, index / clip.fps))
            rows.append((estimate, _overlap(estimate.box, truth) >= ON_TARGET, bool(np.isnan(truth).any())))
        done()
    return Samples.of(rows)


def paired(tracker: Tracker, data: DataSet, pairs: int, seed: int = 0) -> Samples:
    """Samples of two pictures each: the same thing in both, or, every other time, something else in the second.

    The tracker looks around the thing's place in the second picture, moved a little as things move."""
    rng = np.random.default_rng(seed)
    things = [*data.tracks, *data.stills]
    rows: list[tuple[Estimate, bool, bool]] = []
    for number in range(pairs):
        thing = things[int(rng.integers(len(things)))]
        first, second = (thing.views[int(i)] for i in rng.integers(len(thing.views), size=2))
        absent = number % 2 == 1
        if absent:
            second = _other(things, thing, rng)
        target = tracker.start(decoded(first.pictures, first.picture), first.box)
        box, (dx, dy) = second.box, rng.normal(0, SHIFT, 2)
        moved = Box(box.x + float(dx) * box.w, box.y + float(dy) * box.h, box.w, box.h)
        target = tracker.placed(target, moved)
        estimate = tracker.follow(target, decoded(second.pictures, second.picture))
        on_target = not absent and _overlap(estimate.box, np.array(box.xywh())) >= ON_TARGET
        rows.append((estimate, on_target, absent))
    return Samples.of(rows)


def fit(samples: Samples) -> CalibrationSpec:
    """The logistic regression of `on_target`; raises ValueError where all boxes or none were on the target, or those
    with higher scores less often."""
    if samples.on_target.all() or not samples.on_target.any():
        raise ValueError("to calibrate, some boxes must be on the target and some must not be")
    inputs = torch.tensor([[logit(score), 1.0] for score in samples.score.tolist()], dtype=torch.float64)
    wanted = torch.from_numpy(samples.on_target.astype(np.float64))
    weights = torch.tensor([1.0, 0.0], dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=200, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        value = functional.binary_cross_entropy_with_logits(inputs @ weights, wanted)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    return _bounded(*weights.tolist())


def _bounded(score: float, offset: float) -> CalibrationSpec:
    """Where a score parts the samples without a fault, the fit has no end: such a curve is made less steep around the
    same score of even odds."""
    share = min(1.0, MAX_CALIBRATION / max(abs(score), abs(offset), 1e-9))
    return CalibrationSpec(round(score * share, 4), round(offset * share, 4))


def calibration_error(probabilities: Floats, truth: Flags) -> float:
    """Expected calibration error: the mean distance between what was said and how often it was so, over BINS equal
    ranges, each as heavy as it is full. NaN without samples."""
    if not len(truth):
        return float("nan")
    bins = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    inside = [bins == number for number in range(BINS)]
    gaps = [
        abs(probabilities[chosen].mean() - truth[chosen].mean()) * chosen.sum() for chosen in inside if chosen.any()
    ]
    return float(sum(gaps) / len(truth))


def area_under_curve(values: Floats, positive: Flags) -> float:
    """Area under the receiver operating characteristic: how often a positive has the higher value of a positive and a
    negative; ties count half. NaN where there is only one kind."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return float("nan")
    _, inverse, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    ranks = (last - (sizes - 1) / 2)[inverse]  # from 1; those of equals are their mean
    return float((ranks[positive].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _other(things: list[Track], thing: Track, rng: np.random.Generator) -> View:
    for _ in range(NEGATIVE_TRIES):
        other = things[int(rng.integers(len(things)))]
        if other.scene != thing.scene:
            return other.views[int(rng.integers(len(other.views)))]
    raise ValueError(f"no thing outside the scene {thing.scene!r} was found")


def _overlap(box: Box, truth: NDArray[np.float64]) -> float:
    """IoU with the true box; 0 where there is none."""
    if np.isnan(truth).any():
        return 0.0
    return float(intersection_over_union(np.array([box.xywh()], np.float64), truth[None])[0])
