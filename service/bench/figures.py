"""What a load showed, in figures: ages, shares, gaps, and whether the server's counters add up."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from service.bench.load import Observed, Seen

PARTS = ("processed", "dropped", "rejected", "waiting")
"""What becomes of a frame that the server received."""
_LATE_MS = 20.0


@dataclass(frozen=True, slots=True)
class Ages:
    """Percentiles of ages in ms; not-a-number where nothing was answered."""

    p50: float
    p95: float
    p99: float
    largest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Ages:
        """Those of these ages."""
        if not values:
            return cls(*[math.nan] * 4)
        return cls(*(float(value) for value in np.percentile(values, [50, 95, 99, 100])))

    def record(self) -> dict[str, float | None]:
        """As JSON takes them."""
        named = {"p50": self.p50, "p95": self.p95, "p99": self.p99, "max": self.largest}
        return {name: _told(round(value, 2)) for name, value in named.items()}


@dataclass(frozen=True, slots=True)
class Second:
    """One second of the load: how many of the frames due in it were answered, and how old the answers were."""

    answered: int
    ages: Ages


@dataclass(frozen=True, slots=True)
class Figures:
    """A load's outcome. Times in ms or s as named; counts are of frames, `sessions` and `outcomes` of sessions."""

    ages: Ages
    worst_stream_p99_ms: float
    offered: int
    answered: int
    skipped: int
    counters: dict[str, int]
    accounted: int
    sessions: int
    shares: list[float]
    longest_gap_s: float
    longest_resume_s: float
    stale: int
    outcomes: dict[str, int]
    states: dict[str, int]
    frames_per_s: float
    bytes_per_s: float
    late_p99_ms: float
    seconds: list[Second]

    @property
    def delivered(self) -> float:
        """Answers per frame that was wanted."""
        return self.answered / self.offered if self.offered else 0.0

    @property
    def jain(self) -> float:
        """Jain's index of the streams' shares: 1 is even, 1/n is one stream taking all."""
        squares = sum(share * share for share in self.shares)
        return sum(self.shares) ** 2 / (len(self.shares) * squares) if squares else 0.0

    @property
    def sums(self) -> bool:
        """Whether received = processed + dropped + rejected + waiting, in the sum over all sessions that told. False
        where none did."""
        return self.accounted > 0 and self.counters["received"] == sum(self.counters[part] for part in PARTS)

    @property
    def kept_up(self) -> bool:
        """Whether this machine offered the frames when they were due; otherwise it, too, is what was measured."""
        return self.late_p99_ms < _LATE_MS

    def record(self) -> dict[str, Any]:
        """The figures as JSON takes them: null where nothing was measured."""
        named = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in ("ages", "seconds")}
        return {name: _told(value) for name, value in named.items()} | {
            "delivered": self.delivered,
            "fairness": {"jain": self.jain, "least": min(self.shares), "most": max(self.shares)},
            "age_ms": self.ages.record(),
            "counters_add_up": self.sums,
            "kept_up": self.kept_up,
            "seconds": [{"answered": each.answered, "age_ms": each.ages.record()} for each in self.seconds],
        }


def figures(observed: Observed) -> Figures:
    """The figures of what was seen."""
    sessions = observed.sessions
    ages = [age for seen in sessions for _, age in seen.ages]
    told = [seen.counters for seen in sessions if seen.counters is not None]
    counters = Counter(dict.fromkeys(("received", *PARTS), 0))
    for each in told:
        counters.update(each)
    seconds = observed.load.seconds
    return Figures(
        ages=Ages.of(ages),
        worst_stream_p99_ms=max((_p99(seen) for seen in sessions if seen.ages), default=math.nan),
        offered=sum(seen.offered for seen in sessions),
        answered=len(ages),
        skipped=sum(seen.skipped for seen in sessions),
        counters=dict(counters),
        accounted=len(told),
        sessions=len(sessions),
        shares=[len(seen.ages) / seen.offered for seen in sessions if seen.offered] or [0.0],
        longest_gap_s=max(seen.longest_gap_s for seen in sessions),
        longest_resume_s=max((each for seen in sessions for each in seen.resumed_s), default=0.0),
        stale=sum(seen.stale for seen in sessions),
        outcomes=dict(sorted(observed.outcomes.items())),
        states=dict(sum((seen.states for seen in sessions), Counter[str]()).most_common()),
        frames_per_s=len(ages) / seconds,
        bytes_per_s=counters["received"] * observed.film.mean_bytes / seconds,
        late_p99_ms=Ages.of([late for seen in sessions for late in seen.late_ms]).p99,
        seconds=_by_second(sessions, observed.began_s, seconds),
    )


def _p99(seen: Seen) -> float:
    return Ages.of([age for _, age in seen.ages]).p99


def _by_second(sessions: Sequence[Seen], began_s: float, seconds: float) -> list[Second]:
    """The load second by second; frames that were due in the part of a second at its end are in the last entry."""
    spans: list[list[float]] = [[] for _ in range(max(1, int(seconds)))]
    for seen in sessions:
        for due_s, age_ms in seen.ages:
            spans[min(int(due_s - began_s), len(spans) - 1)].append(age_ms)
    return [Second(len(ages), Ages.of(ages)) for ages in spans]


def _told(value: Any) -> Any:
    """None in place of not-a-number, which JSON has not got."""
    return None if isinstance(value, float) and math.isnan(value) else value
