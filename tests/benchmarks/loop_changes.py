"""What changes of the tracking loop would give that need no training; none of them is part of the product.

    python -m tests.benchmarks.loop_changes FOLDER --model siamfcpp_tiny

prints, as Markdown, the success AUC over the sequences in FOLDER, as `lockon evaluate` has it, of the loop as it is and
with: another rate of the size; boxes averaged over the neighbouring cells that agree; template features blended with
those of later frames, whose scores are good.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.geometry import Box
from models.package import DEFAULT_MODEL, find_package, load_tracker
from models.presence import State
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.tracker import Tracker
from training.evaluation.metrics import mean_scores
from training.evaluation.ope import Answer, ModelTracker, evaluate
from training.evaluation.report import Halves
from training.evaluation.sequences import read_sequences
from training.tuning.caching import CachingRuntime, write_map_graphs

VOTING_SHARE, VOTING_IOU = 0.5, 0.7
"""A cell counts that scores at least so large a share of the best one's, and whose box overlaps its box so much."""
BLEND_SCORE = 0.5
"""Frames whose score is lower change no template."""


class Voting(CachingRuntime):
    """The best box is the mean of those that agree with it, weighed by their squared scores."""

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """See the port for the shapes."""
        found = super().search(features, crops, size, loop)
        best = found.best.copy()
        for row, feature, crop in zip(best, features, crops, strict=True):
            score, boxes = self._maps(feature, crop)
            weights = _weights(score, boxes, int(row[7]))
            row[:4] = (boxes * weights).sum(1) / weights.sum()
        return Best(best, found.peak2)


def _weights(score: FloatArray, boxes: FloatArray, index: int) -> FloatArray:
    low, high = boxes[:2] - boxes[2:] / 2, boxes[:2] + boxes[2:] / 2
    sides = np.minimum(high, high[:, [index]]) - np.maximum(low, low[:, [index]])
    shared = sides.clip(0).prod(0)
    areas = boxes[2:].prod(0)
    agree = (shared / (areas + areas[index] - shared) >= VOTING_IOU) & (score >= VOTING_SHARE * score[index])
    return np.where(agree, score**2, 0).astype(np.float32)


@dataclass(frozen=True)
class Blend:
    """Every so many frames the template becomes (1 - share) of the first one and `share` of the newest; `running`: of
    the running mean of the newest, half and half."""

    every: int
    share: float
    running: bool = False


class Blending(ModelTracker):
    """A tracker whose target's template goes along with what it looks like."""

    def __init__(self, tracker: Tracker, blend: Blend) -> None:
        super().__init__(tracker)
        self._blend = blend

    def start(self, frame: ByteArray, box: Box) -> None:
        """Makes a new target."""
        super().start(frame, box)
        assert self._target is not None
        self._first = self._mean = self._target.features
        self._frames = 0

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """As the tracker alone, and then perhaps another template."""
        answer, target, share = super().follow(frame, time_s), self._target, self._blend.share
        assert target is not None
        self._frames += 1
        if self._frames % self._blend.every or answer.state is not State.TRACKING or answer.score < BLEND_SCORE:
            return answer
        newest = self._tracker.start(frame, answer.box).features
        if self._blend.running:
            self._mean = _mixed(self._mean, newest, share)
            newest, share = self._mean, 0.5
        target.features = _mixed(self._first, newest, share)
        return answer


def _mixed(old: Features, new: Features, share: float) -> Features:
    return tuple((1 - share) * before + share * now for before, now in zip(old, new, strict=True))


def changes(model: str, scratch: Path) -> dict[str, Callable[[], ModelTracker]]:
    """Each change by its name."""
    package, shipped = find_package(model), load_tracker(model)
    spec, graphs = shipped.spec, write_map_graphs(package, scratch)
    cached = CachingRuntime(shipped.runtime, spec, graphs)
    voting = Voting(shipped.runtime, spec, graphs)
    tracker = Tracker(spec, cached)
    made: dict[str, Callable[[], ModelTracker]] = {"as it is": lambda: ModelTracker(tracker)}
    for rate in (0.2, 0.4, 0.7):
        other = Tracker(replace(spec, loop=replace(spec.loop, size_lr=rate)), cached)
        made[f"`size_lr` {rate:g}"] = lambda other=other: ModelTracker(other)  # type: ignore[misc]
    made["boxes averaged over neighbouring cells"] = lambda: ModelTracker(Tracker(spec, voting))
    for name, blend in {
        "template: 30 % of the newest, every 5 frames": Blend(5, 0.3),
        "the same, 50 %": Blend(5, 0.5),
        "template: half a running mean of every 5th": Blend(5, 0.3, running=True),
    }.items():
        made[name] = lambda blend=blend: Blending(tracker, blend)  # type: ignore[misc]
    return made


def main() -> None:
    """Prints a row for each change as soon as it is known."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--model", default=DEFAULT_MODEL)
    chosen = options.parse_args()
    sequences = read_sequences(chosen.folder)
    halves = Halves.of(sequence.name for sequence in sequences)
    print(f"| {chosen.model} | all | tuning half | held-out half |\n| --- | --- | --- | --- |", flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory() as scratch:
        for name, make in changes(chosen.model, Path(scratch)).items():
            runs = evaluate({name: make}, sequences)[name]
            parts = [{run.sequence for run in runs}, set(halves.tuning), set(halves.held_out)]
            aucs = [mean_scores(run.scores for run in runs if run.sequence in part).auc for part in parts]
            print(f"| {name} | {' | '.join(f'{auc:.3f}' for auc in aucs)} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
