"""Whose turn it is among sessions whose frames come at known times."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.engine.models import Model
from service.engine.session import Session
from service.engine.steps import Stepper
from service.engine.turns import Turns
from service.protocol.requests import CreateRequest, TargetRequest
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing

INTERVAL_S = 0.03
FRESH, STALE, LATE = 0.4 * INTERVAL_S, 0.9 * INTERVAL_S, 1.6 * INTERVAL_S
"""Ages of frames."""
NOW_S = 10.0
DRAWING = Drawing(width=96, height=96, side=24)
FILES = list(DRAWING.jpegs(4))
TRACKER = load_tracker("dummy")
MODEL = Model("m", TRACKER, Stepper(TRACKER, HostDecoder()), Metrics().tally("m"))


def session(name: str, age_s: float, targets: int = 1) -> Session:
    """Its frames come at even intervals; the newest one is so old at NOW_S, and those before were answered."""
    request = CreateRequest(targets=[TargetRequest(box=list(DRAWING.box(0).xywh()))] * targets)
    made = Session(name, request, MODEL, LimitSettings(), lambda _: None, 0.0)
    for index in range(3):
        made.receive(FILES[index], NOW_S - age_s - (2 - index) * INTERVAL_S)
        if index < 2:
            job = made.take(NOW_S)
            assert job is not None
            made.finish(MODEL.stepper.run([job])[0], NOW_S)
    return made


def waiting(*sessions: Session) -> Turns:
    """They were last served in this order."""
    turns = Turns()
    for each in sessions:
        turns.served(each)
        turns.add(each)
    return turns


def order(turns: Turns, now_s: float = NOW_S) -> str:
    """Takes all of them out."""
    names = ""
    while turns:
        taken = turns.take(MODEL, None, now_s)
        assert taken is not None
        names += taken.id
    assert turns.take(MODEL, None, now_s) is None
    return names


def test_the_least_recently_served_is_first_unless_its_frame_is_about_to_be_replaced() -> None:
    assert order(waiting(session("a", FRESH), session("b", 0.0))) == "ab"
    assert order(waiting(session("a", STALE), session("b", STALE * 1.01), session("c", FRESH))) == "cab"


def test_of_none_but_stale_frames_the_newest_one_is_first() -> None:
    assert order(waiting(session("a", STALE), session("b", 0.8 * INTERVAL_S), session("c", STALE))) == "bac"


def test_a_frame_that_nothing_came_after_does_not_make_way() -> None:
    assert order(waiting(session("a", LATE), session("b", FRESH))) == "ab"


def test_a_session_whose_frames_come_in_step_with_the_batches_is_not_passed_over_for_long() -> None:
    passed, other = session("a", STALE), session("b", FRESH)
    turns = waiting(passed, other)
    names = ""
    for index in range(4):  # whenever it is looked at, its newest frame is as old
        now_s = NOW_S + index * INTERVAL_S
        taken = turns.take(MODEL, None, now_s)
        assert taken is not None
        names += taken.id
        for each, age_s in ((passed, STALE), (other, FRESH)):
            each.receive(FILES[index], now_s + INTERVAL_S - age_s)
            turns.add(each)
    assert names.startswith("bb")
    assert "a" in names


def test_who_comes_instead_has_no_more_targets_than_there_is_room_for() -> None:
    turns = waiting(session("a", STALE), session("b", FRESH, targets=2), session("c", FRESH))
    taken = turns.take(MODEL, 1, NOW_S)
    assert taken is not None
    assert taken.id == "c"
    turns = waiting(session("b", FRESH, targets=2), session("c", FRESH))
    assert turns.take(MODEL, 1, NOW_S) is None
    assert order(turns) == "bc"


@given(st.lists(st.floats(0.0, 2 * INTERVAL_S), min_size=1, max_size=20))
def test_everybody_gets_one_turn_whatever_the_ages_of_the_frames(ages_s: list[float]) -> None:
    names = "abcdefghijklmnopqrst"[: len(ages_s)]
    taken = order(waiting(*(session(name, age_s) for name, age_s in zip(names, ages_s, strict=True))))
    assert "".join(sorted(taken)) == names
