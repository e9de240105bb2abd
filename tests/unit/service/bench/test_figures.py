"""Figures of a load, from what streams saw."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping

import pytest

from models.geometry import Box
from service.bench.figures import Ages, figures
from service.bench.film import Film
from service.bench.load import Load, Observed, Seen
from service.bench.page import page
from service.bench.table import rows

EVEN = {"received": 10, "processed": 7, "dropped": 2, "dropped_newer": 2, "rejected": 0, "waiting": 1}


def seen(*ages_ms: float, offered: int = 10, counters: Mapping[str, int] | None = None) -> Seen:
    """A stream whose frames were due at 100.0, 100.1, ... and were answered with these ages."""
    ages = [(100 + index / 10, age) for index, age in enumerate(ages_ms)]
    told = None if counters is None else dict(counters)
    return Seen(ages=ages, late_ms=[0.1] * offered, offered=offered, counters=told)


def observed(*streams: Seen, seconds: float = 2.0) -> Observed:
    load = Load("http://127.0.0.1:8000", len(streams), 5.0, seconds)
    film = Film("drawn", [b"a" * 1000], Box(0, 0, 10, 10), 64, 64)
    return Observed(load, film, list(streams), Counter(opened=len(streams)), Counter(), 100.0)


def test_percentiles_are_over_all_streams_and_the_worst_stream_is_named() -> None:
    found = figures(observed(seen(*[10.0] * 5), seen(*[30.0] * 5)))
    assert found.ages.p50 == 20.0
    assert found.worst_stream_p99_ms == found.ages.largest == 30.0


def test_fairness_is_of_shares_and_one_stream_that_takes_all_shows() -> None:
    assert figures(observed(seen(1, 2), seen(3, 4))).jain == pytest.approx(1.0)
    taking = figures(observed(seen(1, 2), seen(), seen(), seen()))
    assert taking.jain == pytest.approx(0.25)
    assert min(taking.shares) == 0.0


def test_the_account_of_the_frames_is_even_or_said_not_to_be() -> None:
    found = figures(observed(seen(1, counters=EVEN), seen(1, counters=EVEN), seen(1)))
    assert (found.sums, found.counters["received"], found.accounted, found.sessions) == (True, 20, 2, 3)
    words = dict(rows(observed(seen(1, counters=EVEN), seen(1)), found))
    assert words["server's counters"].startswith("20 received = 14 processed + 4 dropped + 0 rejected + 2 waiting")
    assert "1 sessions were gone" in words["server's counters"]
    assert words["dropped by the server"] == "newer 4"
    odd = observed(seen(1, counters=EVEN | {"received": 11}))
    assert not figures(odd).sums
    assert "11 received != 7" in dict(rows(odd, figures(odd)))["server's counters"]


def test_every_second_has_its_own_ages_and_an_empty_one_is_a_gap() -> None:
    found = figures(observed(seen(*[5.0] * 10, 50.0), seconds=3.0))
    assert [second.answered for second in found.seconds] == [10, 1, 0]
    assert [second.ages.p50 for second in found.seconds[:2]] == [5.0, 50.0]
    assert math.isnan(found.seconds[2].ages.p50)


def test_nothing_answered_is_no_figure_and_still_json_and_a_page() -> None:
    nothing = observed(seen(offered=0))
    record = json.loads(json.dumps(figures(nothing).record(), allow_nan=False))
    assert record["age_ms"]["p50"] is None
    assert record["delivered"] == 0.0
    assert "<svg" in page(nothing, figures(nothing))


def test_a_machine_that_offers_its_frames_late_says_so() -> None:
    late = seen(1.0)
    late.late_ms = [50.0] * 10
    found = figures(observed(late))
    assert not found.kept_up
    assert "too slow" in dict(rows(observed(late), found))["frames offered late by"]


def test_the_page_shows_words_of_others_as_words() -> None:
    found = observed(seen(1.0, counters=EVEN))
    hostile = Observed(
        Load("http://x/<script>", 1, 5.0, 2.0), found.film, found.sessions, found.outcomes, Counter(), 100.0
    )
    assert "<script>" not in page(hostile, figures(hostile))


def test_ages_of_nothing_are_no_numbers() -> None:
    assert math.isnan(Ages.of([]).p99)
