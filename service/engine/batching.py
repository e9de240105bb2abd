"""How many targets one run of a model's search graph should take, by what steps of several sizes cost here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np

from models.geometry import Box
from models.tracker import Tracker

WORTH = 0.9
"""A batch of twice the size has to cost less than this share for each target: waiting for others is not free."""
LONGEST_MS = 16.0
"""Half a frame interval at 30 frames a second: a longer batch would make every frame late."""
RUNS = 3


@dataclass(frozen=True, slots=True)
class BatchCurve:
    """Milliseconds of a step for so many targets, as far as it was measured, and the largest batch that pays."""

    step_ms: Mapping[int, float]
    largest: int

    def halved(self) -> BatchCurve:
        """For a machine that cannot do so many at once after all."""
        return replace(self, largest=max(1, self.largest // 2))


ONE_BY_ONE = BatchCurve({}, 1)


def measured_curve(tracker: Tracker, most: int) -> BatchCurve:
    """Doubles the batch while that pays, up to `most` targets. Afterwards the graphs are warm.

    On a processor core a batch costs as much as its targets one after the other, on a GPU hardly more than one."""
    costs = {1: _step_ms(tracker, 1)}
    largest = 1
    while 2 * largest <= most:
        costs[2 * largest] = _step_ms(tracker, 2 * largest)
        # Once more, right beside: the machine may have been slower a moment ago.
        costs[largest] = min(costs[largest], _step_ms(tracker, largest))
        if costs[2 * largest] > LONGEST_MS or costs[2 * largest] >= 2 * WORTH * costs[largest]:
            break
        largest *= 2
    return BatchCurve({count: round(ms, 3) for count, ms in costs.items()}, largest)


def _step_ms(tracker: Tracker, count: int) -> float:
    """The shortest of some steps in crops of the usual size: whatever else the machine does can only make one longer.

    Crops of each other size are searched once: the first run of anything costs several times as much."""
    frame = np.zeros((64, 64, 3), np.uint8)
    fresh = tracker.start(frame, Box(16, 16, 32, 32))

    def step_ms(search_size: int) -> float:
        # New ones each time: there is nothing to follow, and a target that is lost may be searched in other crops.
        targets = [replace(fresh, search_size=search_size) for _ in range(count)]
        began_s = perf_counter()
        tracker.step([(target, frame) for target in targets])
        return (perf_counter() - began_s) * 1e3

    for search_size in tracker.spec.search_sizes:
        step_ms(search_size)
    return min(step_ms(tracker.spec.crop.search_size) for _ in range(RUNS))
