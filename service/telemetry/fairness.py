"""Whether the sessions get what they were promised, and share the machine evenly: measured every ten seconds."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter
from typing import TYPE_CHECKING

from service.engine.counters import Counters, Drop
from service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from service.engine.session import Session

PERIOD_S = 10.0
_WANTED = (Drop.NEWER, Drop.DEADLINE, Drop.CAPACITY, Drop.INTERNAL)
"""Frames that would have been processed on a faster machine. The others are nobody's to process: without a target,
beyond a quota, of a socket that has gone."""


class Fairness:
    """Compares each session's counters with those of the last time; `min_fps` is what each one is promised, 0 if
    nothing is."""

    def __init__(self, metrics: Metrics, min_fps: float) -> None:
        self._metrics = metrics
        self._min_fps = min_fps
        self._last: dict[str, tuple[int, int]] = {}

    def measure(self, sessions: Iterable[Session], period_s: float) -> None:
        """Takes note of what these sessions got in the period that ends now."""
        shares: defaultdict[str, list[float]] = defaultdict(list)
        now: dict[str, tuple[int, int]] = {}
        for session in sessions:
            now[session.id] = processed, wanted = session.counters.processed, _wanted(session.counters)
            # A session that left and came back counts from zero.
            if (before := self._last.get(session.id)) is None or wanted <= before[1]:
                continue
            got, asked = processed - before[0], wanted - before[1]
            due = min(asked, self._min_fps * period_s) if self._min_fps else asked
            session.model.tally.shared(min(1.0, got / due))
            shares[session.model.id].append(got / asked)
        self._last = now
        self._metrics.fairness.clear()
        for model, found in shares.items():
            self._metrics.fairness.labels(model).set(jain(found))

    async def watch(self, sessions: Callable[[], Iterable[Session]]) -> None:
        """Measures until cancelled."""
        began_s = perf_counter()
        while True:
            await asyncio.sleep(PERIOD_S)
            now_s = perf_counter()
            self.measure(sessions(), now_s - began_s)
            began_s = now_s


def jain(shares: Sequence[float]) -> float:
    """Jain's index of fairness: 1 if all are equal, 1/n if one has everything. Nothing for everybody is even, too."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


def _wanted(counters: Counters) -> int:
    return counters.processed + sum(counters.drops[reason] for reason in _WANTED)
