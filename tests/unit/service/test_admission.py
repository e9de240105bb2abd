"""Room for one more session, by measured costs."""

from __future__ import annotations

from service.engine.admission import HEADROOM, LEAST_FRAMES, UTILISATION, Costs, room

ROOM_S = UTILISATION * HEADROOM  # of one worker, each second


def test_costs_are_unknown_until_there_are_a_few_frames() -> None:
    costs = Costs()
    for _ in range(LEAST_FRAMES - 1):
        costs.add(0.01)
    assert costs.typical_s is None
    costs.add(0.01)
    assert costs.typical_s == 0.01


def test_one_hiccup_does_not_move_the_cost() -> None:
    costs = Costs()
    for _ in range(LEAST_FRAMES):
        costs.add(0.01)
    costs.add(5.0)
    assert costs.typical_s == 0.01


def test_sessions_are_taken_until_their_promises_fill_the_workers() -> None:
    most = int(2 * ROOM_S / (0.01 * 5))
    for taken in range(most + 2):
        assert room([0.01] * taken, 0.01, workers=2, min_fps=5) == max(0, most - taken)


def test_a_first_session_is_taken_however_slow_the_machine_is() -> None:
    assert room([], 10.0, workers=1, min_fps=5) == 1
    assert room([10.0], 10.0, workers=1, min_fps=5) == 0


def test_without_a_promise_or_a_known_cost_there_is_no_limit() -> None:
    assert room([10.0] * 100, 10.0, workers=1, min_fps=0) is None
    assert room([0.01], 0.0, workers=1, min_fps=5) is None
