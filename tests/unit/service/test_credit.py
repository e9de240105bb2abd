"""How many frames a client may have under way, and what the session does about those that take too long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from service.engine.clocks import Pace
from service.engine.counters import Drop
from service.engine.credit import LEAST, MOST, START, Credit
from service.engine.outbox import Outbox, ResultDraft
from service.engine.session import Session
from service.protocol.messages import SessionUpdate, TargetAdd, TargetRemove
from service.protocol.requests import CreateRequest, PatchRequest, TargetRequest
from service.settings_sections import MIB, LimitSettings
from tests.unit.service.test_session import BOX, FILES, STEPPER, model

FRAME = 50_000
TARGET = TargetRequest(id="a", box=BOX)


def _ordinary(credit: Credit, seconds: int, began_s: float = 0.0) -> list[int]:
    """The credit after each second with a few frames."""
    told = []
    for second in range(seconds):
        for part in range(4):
            credit.arrived(FRAME, began_s + second + part / 4, must=False)
        told.append(credit.frames)
    return told


def test_frames_that_go_through_earn_more_credit_up_to_a_limit() -> None:
    assert _ordinary(Credit(LimitSettings()), 7) == [START, 5, 6, 7, MOST, MOST, MOST]


@pytest.mark.parametrize("too_many", [Credit.replaced, lambda credit: credit.late(0.5)])
def test_frames_that_are_replaced_or_come_late_halve_the_credit_each_second(too_many: Any) -> None:
    credit = Credit(LimitSettings())
    _ordinary(credit, 5)
    told = []
    for second in range(5, 9):
        too_many(credit)
        told += _ordinary(credit, 1, float(second))
    assert told == [4, LEAST, LEAST, LEAST]
    credit.late(0.05)
    assert _ordinary(credit, 1, 9.0) == [LEAST + 1], "a little delay is no queue"


def test_must_process_credit_is_what_certainly_fits_into_the_queue() -> None:
    credit = Credit(LimitSettings(must_queue=8, must_queue_bytes=16 * MIB, max_frame_bytes=4 * MIB))
    assert credit.view() == {"frames": START, "must": 4}
    assert credit.arrived(FRAME, 0.0, must=True)
    assert credit.must == 8
    assert not credit.arrived(FRAME, 0.0, must=True)
    assert credit.arrived(6 * MIB, 0.0, must=True)
    assert credit.must == 2
    assert Credit(LimitSettings(must_queue_bytes=1024)).must == 1


def test_a_pace_gives_the_mean_rate_without_losing_the_time_of_a_late_frame() -> None:
    pace, now_s, taken = Pace(), 0.0, 0
    while now_s < 10:
        now_s += 1 / 30  # a camera's rate, of which 20 is no divisor
        if pace.wait_s(now_s) == 0:
            pace.took(now_s, 20)
            taken += 1
    assert taken == pytest.approx(200, abs=2)
    pace.took(100.0, 20)
    assert pace.wait_s(100.0) <= 0.05, "a long pause earns no burst"
    pace.took(100.0, None)
    assert pace.wait_s(100.0) == 0


def _session(on_work: Callable[[Session], None] = lambda _session: None, /, **request: Any) -> Session:
    session = Session("ses_1", CreateRequest(targets=[TARGET], **request), model(), LimitSettings(), on_work, 0.0)
    session.attach(Outbox(1000), 0.0)
    return session


def _work(session: Session, now_s: float) -> bool:
    """Works off the next job, if there is one."""
    job = session.take(now_s)
    if job is not None:
        session.finish(STEPPER.run([job])[0], now_s)
    return job is not None


async def _said(session: Session) -> list[Any]:
    assert session.outbox is not None
    return [await session.outbox.get() for _ in range(len(session.outbox))]


async def test_a_frame_that_waited_longer_than_the_deadline_is_dropped_and_told() -> None:
    session = _session(deadline_ms=500)
    session.receive(FILES[0], 0.0)
    assert _work(session, 0.5)
    session.receive(FILES[1], 0.6)
    assert not _work(session, 1.2)
    assert session.counters.view() | {"dropped_deadline": 1, "processed": 1} == session.counters.view()
    assert session.waiting == 0
    said = [item for item in await _said(session) if not isinstance(item, ResultDraft)]
    assert said == [{"type": "credit", "frames": START, "must": 4, "done_seq": 2}]
    session.receive(FILES[2], 2.0)
    assert _work(session, 2.1)


def test_half_a_second_is_the_deadline_where_the_session_does_not_say() -> None:
    for deadline, waited_s, followed in (({}, 0.51, False), ({}, 0.49, True), ({"deadline_ms": None}, 9.0, True)):
        session = _session(**deadline)
        session.receive(FILES[0], 0.0)
        assert _work(session, 0.0)
        session.receive(FILES[1], 1.0)
        assert _work(session, 1.0 + waited_s) is followed


def test_a_frame_that_waits_for_max_fps_does_not_wait_too_long() -> None:
    session = _session(max_fps=0.5)
    for now_s in (0.0, 0.1):
        session.receive(FILES[0], now_s)
        assert _work(session, now_s)
    session.receive(FILES[1], 1.0)  # too early by a second, and nothing comes after it
    assert not _work(session, 1.9)
    assert _work(session, 2.1)
    session.receive(FILES[2], 3.0)
    assert not _work(session, 4.6), "its turn was at 4.0: it has waited for a worker since"
    assert session.counters.drops[Drop.DEADLINE] == 1


@pytest.mark.parametrize(("max_fps", "pause_s"), [(10, 0), (None, 0), (0.4, 0.5), (0.2, 1)])
def test_a_change_of_max_fps_holds_for_the_frame_that_waits(max_fps: float | None, pause_s: float) -> None:
    woken: list[Session] = []
    session = _session(woken.append, max_fps=0.25)
    for now_s in (0.0, 1.0):
        session.receive(FILES[0], now_s)
        assert _work(session, now_s)
    session.receive(FILES[1], 1.0)
    assert session.pause_s(3.0) == 1
    woken.clear()
    session.change(PatchRequest(max_fps=max_fps))
    assert woken == [session]
    assert session.pause_s(3.0) == pytest.approx(pause_s)
    assert _work(session, 3.0 + pause_s), "that it had to wait until then does not make it late"


def test_must_process_frames_have_no_deadline() -> None:
    session = _session(deadline_ms=20, mode="every")
    for index in range(3):
        session.receive(FILES[index], 0.0)
    assert [_work(session, 9.0) for _ in range(4)] == [True, True, True, False]


def test_no_more_frames_are_followed_than_max_fps_and_the_newest_of_them() -> None:
    session = _session(max_fps=10)
    followed = []
    for index in range(60):
        now_s = index / 30
        session.receive(FILES[index % len(FILES)], now_s)
        if _work(session, now_s):
            followed.append(session.done_seq)
    assert len(followed) == pytest.approx(20, abs=2)
    session.receive(FILES[0], 2.0)
    session.receive(FILES[1], 2.0)
    pause_s = session.pause_s(2.0)
    assert 0 < pause_s <= 0.1
    assert _work(session, 2.0 + pause_s)
    assert session.done_seq == session.last_seq


def _update(op: str, **fields: Any) -> SessionUpdate:
    return SessionUpdate(type="session.update", op=op, **fields)


async def test_settings_change_from_the_next_frame_on_in_the_order_of_operations() -> None:
    session = _session()
    session.operate(TargetAdd(type="target.add", op="1", id="b", box=BOX), 0.0)
    session.operate(_update("2", mode="every", label="door", max_fps=5, result={"timings": False}), 0.0)
    session.receive(FILES[0], 0.0)
    assert _work(session, 0.0)
    acks = [item for item in await _said(session) if isinstance(item, dict) and item["type"] == "ack"]
    assert [(ack["op"], ack["ok"]) for ack in acks] == [("1", True), ("2", True)]
    assert (session.request.mode, session.request.label, session.request.max_fps) == ("every", "door", 5)
    assert not session.answers.want.timings
    assert session.answers.want.window
    session.operate(_update("3", label=None), 0.0)
    assert (session.request.mode, session.request.label) == ("every", None)
    session.operate(_update("2", mode="latest"), 0.0)
    assert session.request.mode == "every", "a repeated operation has no second effect"


async def test_answers_come_in_the_order_of_the_operations_while_a_worker_has_the_first() -> None:
    session = _session()
    session.receive(FILES[0], 0.0)
    assert _work(session, 0.0)
    session.operate(TargetAdd(type="target.add", op="1", id="b", box=BOX, on_seq=1), 0.0)
    job = session.take(0.0)
    assert job is not None
    session.operate(TargetAdd(type="target.add", op="2", id="a", box=BOX), 0.0)  # which is there already
    session.operate(TargetRemove(type="target.remove", op="3", id="b"), 0.0)
    session.operate(_update("4", label="x"), 0.0)
    assert session.request.label is None
    session.finish(STEPPER.run([job])[0], 0.0)
    acks = [item for item in await _said(session) if isinstance(item, dict) and item["type"] == "ack"]
    assert [(ack["op"], ack["ok"]) for ack in acks] == [("1", True), ("2", False), ("3", True), ("4", True)]


async def test_a_target_that_is_removed_before_it_was_started_is_started_and_removed() -> None:
    session = _session()
    session.operate(TargetAdd(type="target.add", op="1", id="b", box=BOX), 0.0)
    session.operate(TargetRemove(type="target.remove", op="2", id="b"), 0.0)
    session.receive(FILES[0], 0.0)
    assert _work(session, 0.0)
    acks = [item for item in await _said(session) if isinstance(item, dict) and item["type"] == "ack"]
    assert [(ack["op"], ack["ok"]) for ack in acks] == [("1", True), ("2", True)]
    assert list(session.followed) == ["a"]


async def test_metadata_do_not_grow_patch_by_patch() -> None:
    session = _session(metadata={"a": {"0": "x" * 2000}})
    session.operate(_update("1", metadata={"a": {"1": "x" * 2000}}), 0.0)
    session.operate(_update("2", metadata={"a": {"2": "x" * 2000}}), 0.0)
    first, second = await _said(session)
    assert first["ok"]
    assert (second["ok"], second["pointer"]) == (False, "/metadata")
    assert "6028 bytes as JSON; the limit is 4096" in second["detail"]


async def test_a_change_that_breaks_a_rule_changes_nothing() -> None:
    session = _session(metadata={f"k{number}": 1 for number in range(10)})
    session.operate(_update("m", label="x", metadata={f"n{number}": 1 for number in range(10)}), 0.0)
    (ack,) = await _said(session)
    assert (ack["ok"], ack["code"], ack["pointer"]) == (False, "not_allowed", "/metadata")
    assert session.request.label is None
