"""What sessions get of what they were promised, and how evenly."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

import pytest

from service.engine.counters import Counters, Drop
from service.engine.session import Session
from service.telemetry.fairness import Fairness, jain
from service.telemetry.metrics import Metrics
from tests.waiting import until


@dataclass
class _Model:
    id: str
    tally: Any


@dataclass
class _Session:
    """As much of a session as its fairness needs."""

    id: str
    model: _Model
    counters: Counters


def _sessions(metrics: Metrics, count: int) -> list[_Session]:
    tally = metrics.tally("m")
    return [_Session(f"s{i}", _Model("m", tally), Counters(tally)) for i in range(count)]


def _get(session: _Session, processed: int, dropped: int, reason: Drop = Drop.NEWER) -> None:
    for _ in range(processed):
        session.counters.process(0.01)
    session.counters.drop(reason, dropped)


def _measured(metrics: Metrics, sessions: list[_Session], fairness: Fairness) -> dict[str, float]:
    fairness.measure(cast("list[Session]", sessions), 10.0)
    lines = metrics.exposition().decode().splitlines()
    found = [line.split(" ") for line in lines if line.startswith(("lockon_session_rate_ratio", "lockon_fairness"))]
    return {name.removeprefix("lockon_"): float(value) for name, value in found}


@pytest.mark.parametrize(
    ("shares", "index"), [([1.0, 1.0], 1.0), ([1.0, 0.0], 0.5), ([0.5, 0.25], 0.9), ([0.0, 0.0], 1.0), ([0.3], 1.0)]
)
def test_jains_index(shares: list[float], index: float) -> None:
    assert jain(shares) == pytest.approx(index)


def test_a_session_is_held_to_what_it_sent_or_was_promised_whichever_is_less() -> None:
    metrics = Metrics()
    sessions, fairness = _sessions(metrics, 3), Fairness(metrics, min_fps=5.0)
    _measured(metrics, sessions, fairness)
    _get(sessions[0], 100, 200)  # 30 frames/s asked, 10 got, 5 promised: kept
    _get(sessions[1], 25, 275)  # 2.5 got of the 5 promised
    _get(sessions[2], 20, 0)  # 2 asked, 2 got
    found = _measured(metrics, sessions, fairness)
    assert found['session_rate_ratio_count{model="m"}'] == 3
    assert found['session_rate_ratio_bucket{le="0.5",model="m"}'] == 1
    assert found['session_rate_ratio_bucket{le="0.9",model="m"}'] == 1
    shares = [100 / 300, 25 / 300, 1.0]
    assert found['fairness_jain{model="m"}'] == pytest.approx(jain(shares))


def test_without_a_promise_a_session_is_held_to_what_it_sent() -> None:
    metrics = Metrics()
    sessions, fairness = _sessions(metrics, 1), Fairness(metrics, min_fps=0.0)
    _measured(metrics, sessions, fairness)
    _get(sessions[0], 100, 300)
    assert _measured(metrics, sessions, fairness)['session_rate_ratio_sum{model="m"}'] == pytest.approx(0.25)


async def test_it_is_measured_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.telemetry.fairness.PERIOD_S", 0.001)
    metrics = Metrics()
    (session,), asked = _sessions(metrics, 1), [0]

    def sessions() -> list[Session]:
        asked[0] += 1
        _get(session, 1, 1)
        return cast("list[Session]", [session])

    watching = asyncio.create_task(Fairness(metrics, 0.0).watch(sessions))
    await until(lambda: asked[0] > 3)
    watching.cancel()
    assert 'lockon_fairness_jain{model="m"} 1.0' in metrics.exposition().decode()


def test_silent_sessions_new_ones_and_frames_that_nobody_owes_do_not_count() -> None:
    metrics = Metrics()
    sessions, fairness = _sessions(metrics, 3), Fairness(metrics, min_fps=5.0)
    _measured(metrics, sessions[:2], fairness)
    _get(sessions[1], 0, 100, Drop.NO_TARGET)
    _get(sessions[2], 10, 0)  # was not there at the last measurement
    found = _measured(metrics, sessions, fairness)
    assert found['session_rate_ratio_count{model="m"}'] == 0
    assert 'fairness_jain{model="m"}' not in found
