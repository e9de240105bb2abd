"""Passes from several first boxes: one says little, since a pixel more or less decides whether a target is lost."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from models.geometry import Box
from models.runtimes.base import ByteArray
from training.evaluation.metrics import mean_scores
from training.evaluation.ope import Answer, Run, SequenceTracker, TrackerFactory
from training.evaluation.report import Halves

SHIFT, LEAST_SHIFT_PX = 0.02, 1.0
"""How far a side is moved at most: a share of the root of the target's area, but not less than so many pixels."""
COLUMNS = "success AUC | tuning half | held-out half | CPU ms a frame"


class Shifted:
    """A tracker that is started beside the true box: as far as `number` and the box itself say."""

    def __init__(self, tracker: SequenceTracker, number: int) -> None:
        self._tracker = tracker
        self._number = number

    def start(self, frame: ByteArray, box: Box) -> None:
        """Makes a new target on the shifted box."""
        rng = np.random.default_rng([self._number, zlib.crc32(repr(box.xywh()).encode())])
        reach = max(LEAST_SHIFT_PX, SHIFT * math.sqrt(box.w * box.h))
        x, y, w, h = np.array(box.xywh()) + rng.uniform(-reach, reach, 4)
        self._tracker.start(frame, Box(x, y, max(1.0, w), max(1.0, h)))

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """As the tracker itself."""
        return self._tracker.follow(frame, time_s)


def starts(make: TrackerFactory, label: str, count: int) -> dict[str, TrackerFactory]:
    """A factory for each of the starts, by its name."""
    return {f"{label} {number}": lambda number=number: Shifted(make(), number) for number in range(count)}  # type: ignore[misc]


def mean_auc(passes: Sequence[Sequence[Run]]) -> str:
    """The mean success AUC of two passes or more with its standard error."""
    aucs = [mean_scores([run.scores for run in each]).auc for each in passes]
    return f"{np.mean(aucs):.3f} ± {np.std(aucs, ddof=1) / math.sqrt(len(aucs)):.3f}"


def half_aucs(passes: Sequence[Sequence[Run]], halves: Halves) -> tuple[float, float]:
    """The mean success AUCs of the tuning half and of the held-out half."""
    tuning, held_out = (
        float(np.mean([run.scores.auc for each in passes for run in each if run.sequence in half]))
        for half in (halves.tuning, halves.held_out)
    )
    return tuning, held_out


def row(label: str, passes: Sequence[Sequence[Run]], halves: Halves) -> str:
    """A line of a table: the mean over the passes with its standard error; the halves; the CPU time."""
    tuning, held_out = half_aucs(passes, halves)
    cpu_ms = np.mean([run.cpu_ms for each in passes for run in each if run.cpu_ms is not None])
    return f"| {label} | {mean_auc(passes)} | {tuning:.3f} | {held_out:.3f} | {cpu_ms:.1f} |"
