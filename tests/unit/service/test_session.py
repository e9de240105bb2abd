"""The session as a plain machine: the order of its results, and the fate of every frame."""

from __future__ import annotations

import random
from typing import Any, Literal

import pytest

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.engine.jobs import Job, Outcome
from service.engine.models import Model
from service.engine.outbox import Outbox, ResultDraft
from service.engine.session import Session
from service.engine.steps import Stepper
from service.protocol.messages import TargetAdd, TargetRemove
from service.protocol.requests import CreateRequest, TargetRequest
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing
from tests.end_to_end.conftest import TS_VALID, with_header

DRAWING = Drawing(width=96, height=96, side=24)
FILES = list(DRAWING.jpegs(20))
TRACKER = load_tracker("dummy")
STEPPER = Stepper(TRACKER, HostDecoder())
BOX = list(DRAWING.box(0).xywh())


def model() -> Model:
    """The dummy, as the engine has it."""
    return Model("m", TRACKER, STEPPER, Metrics().tally("m"))


def _session(*targets: TargetRequest, **request: Any) -> Session:
    create = CreateRequest(targets=list(targets), **request)
    session = Session("ses_1", create, model(), LimitSettings(must_queue=3), lambda _session: None, 0.0)
    session.attach(Outbox(1000), 0.0)
    return session


async def _sent(session: Session) -> list[Any]:
    outbox = session.outbox
    assert outbox is not None
    return [await outbox.get() for _ in range(len(outbox))]


def _check_counters(session: Session) -> None:
    counters = session.counters
    assert counters.received == counters.processed + counters.dropped + counters.rejected + session.waiting


def _taken(session: Session) -> Job:
    job = session.take(0.0)
    assert job is not None
    return job


async def test_a_frame_without_targets_is_not_answered_before_an_older_one_that_is_being_worked_off() -> None:
    session = _session(TargetRequest(id="a", box=BOX))
    session.receive(FILES[0], 0.0)
    job = _taken(session)
    (outcome,) = STEPPER.run([job])
    session.finish(outcome, 0.0)
    session.receive(FILES[1], 0.0)
    job = _taken(session)
    session.operate(TargetRemove(type="target.remove", op="r", id="a"), 0.0)
    session.receive(FILES[2], 0.0)
    results = [item.seq for item in await _sent(session) if isinstance(item, ResultDraft)]
    (outcome,) = STEPPER.run([job])
    session.finish(outcome, 0.0)
    assert session.take(0.0) is None
    results += [item.seq for item in await _sent(session) if isinstance(item, ResultDraft)]
    assert results == sorted(results)
    assert session.waiting == 0


def test_targets_whose_first_frame_is_damaged_start_in_the_next_one_in_their_order() -> None:
    names = ["c", "a", "b"]
    session = _session(*(TargetRequest(id=name, box=BOX) for name in names))
    for file in (FILES[0][:-99], FILES[1]):
        session.receive(file, 0.0)
        job = _taken(session)
        session.finish(STEPPER.run([job])[0], 0.0)
    assert list(session.followed) == names


def test_must_process_frames_that_lost_their_target_do_not_wait_for_ever() -> None:
    session = _session(TargetRequest(id="a", box=BOX), mode="every")
    session.receive(FILES[0], 0.0)
    job = _taken(session)
    for file in FILES[1:4]:
        session.receive(file, 0.0)
    session.operate(TargetRemove(type="target.remove", op="r", id="a"), 0.0)
    (outcome,) = STEPPER.run([job])
    session.finish(outcome, 0.0)
    assert session.take(0.0) is None
    assert session.waiting == 0
    _check_counters(session)


def test_a_closed_session_stays_closed_and_keeps_nothing_that_still_comes() -> None:
    session = _session(TargetRequest(id="a", box=BOX))
    session.close()
    session.receive(FILES[0], 0.0)
    session.detach(0.0)
    assert (session.state, session.waiting, session.held_bytes) == ("closed", 0, 0)
    _check_counters(session)


async def test_a_target_of_a_create_whose_frame_never_comes_does_not_block_the_others_for_ever() -> None:
    session = _session(TargetRequest(id="a", box=BOX, on_seq=1000))
    session.receive(FILES[0], 0.0)
    session.operate(TargetAdd(type="target.add", op="b", id="b", box=BOX), 0.0)
    session.receive(FILES[1], 0.0)
    session.settle(3.0)
    error = next(item for item in await _sent(session) if isinstance(item, dict) and item["type"] == "error")
    assert error["code"] == "seq_not_arrived"
    job = session.take(3.0)
    assert job is not None
    assert [order.op for order, _ in job.orders] == ["b"]


async def _worked(session: Session, now_s: float) -> tuple[list[int], list[Any]]:
    """Works off all that there is to do by then: the frames in the order in which they were looked at to go on with
    targets or to catch them up, and what was said."""
    seqs: list[int] = []
    while (job := session.take(now_s)) is not None:
        seqs += [frame.seq for _, replays in job.orders for replay in replays for frame in replay.later]
        seqs += [] if job.frame is None else [job.frame.seq]
        (outcome,) = STEPPER.run([job])
        session.finish(outcome, now_s)
    return seqs, await _sent(session)


async def test_no_target_is_caught_up_through_frames_that_wait_for_max_fps() -> None:
    session = _session(TargetRequest(id="a", box=BOX), mode="every", max_fps=5)
    for file in FILES[:2]:
        session.receive(file, 0.0)
    seqs, _ = await _worked(session, 0.0)
    assert seqs == [1, 2]
    for file in FILES[2:5]:
        session.receive(file, 0.1)
    for op, seq in (("early", 1), ("soon", 3), ("then", 4)):
        box = list(DRAWING.box(seq - 1).xywh())
        session.operate(TargetAdd(type="target.add", op=op, id=op, box=box, on_seq=seq), 0.1)
    acks: list[str] = []
    boxes: dict[int, dict[str, list[float]]] = {}
    for now_s in (0.1, 0.25, 0.45, 0.65):
        more, said = await _worked(session, now_s)
        seqs += more
        acks.append(" ".join(item["op"] for item in said if isinstance(item, dict) and item["type"] == "ack"))
        for item in said:
            if isinstance(item, ResultDraft):
                boxes[item.seq] = {target["id"]: target["box"] for target in item.targets}
    assert seqs == [1, 2, 2, 3, 4, 5], "frame 2 also to catch up, all the others once"
    assert acks == ["early soon", "then", "", ""], "none waits for more than the frames before its own"
    for seq, found in boxes.items():
        assert list(found) == ["a", "early", "soon", "then"][: 3 if seq == 3 else 4]
        for box in found.values():
            assert box == pytest.approx(DRAWING.box(seq - 1).xywh(), abs=2)


@pytest.mark.parametrize("seed", range(12))
async def test_every_frame_has_one_fate_and_results_come_in_order_whatever_happens(seed: int) -> None:
    rng = random.Random(seed)
    session = _session(TargetRequest(id="t0", box=BOX), mode=rng.choice(["latest", "every"]))
    job: Job | None = None
    seqs: list[int] = []

    def frame() -> None:
        session.receive(rng.choice(FILES), now_s)

    def damaged() -> None:
        file = rng.choice(FILES)
        session.receive(rng.choice([b"no image", file[: len(file) // 2]]), now_s)

    def add() -> None:
        on_seq: int | Literal["next"] = rng.choice(["next", rng.randrange(40)])
        operation = TargetAdd(type="target.add", op=f"op{now_s}", id=f"t{rng.randrange(3)}", box=BOX, on_seq=on_seq)
        session.operate(operation, now_s)

    def remove() -> None:
        session.operate(TargetRemove(type="target.remove", op=f"op{now_s}", id=f"t{rng.randrange(3)}"), now_s)

    def work() -> None:
        nonlocal job
        if job is None:
            job = session.take(now_s)
        else:
            outcome = rng.choice([*STEPPER.run([job]), Outcome(internal=True)] if rng.random() < 0.3 else [None])
            session.finish(outcome or STEPPER.run([job])[0], now_s)
            job = None

    def reconnect() -> None:
        session.detach(now_s)
        _check_counters(session)
        session.attach(Outbox(1000), now_s)

    now_s = 0.0
    for _ in range(150):
        now_s += 0.1
        rng.choices([frame, damaged, add, remove, work, reconnect], [8, 1, 2, 2, 8, 0.5])[0]()
        _check_counters(session)
        session.settle(now_s)
        if rng.random() < 0.5:
            seqs += [item.seq for item in await _sent(session) if isinstance(item, ResultDraft)]
    while job is not None or session.has_work(now_s):
        work()
    _check_counters(session)
    assert session.waiting == 0
    assert seqs == sorted(set(seqs))
    session.close()
    _check_counters(session)


async def test_a_line_that_is_too_slow_for_what_is_sent_is_told_but_a_hiccup_is_not() -> None:
    session = _session(TargetRequest(id="a", box=BOX))

    async def warnings(*delays_s: float) -> list[Any]:
        """What is said when frames, ten a second, come so late."""
        for delay_s in delays_s:
            seq = session.last_seq + 1
            taken_s = seq / 10
            frame = with_header(FILES[0], seq, flags=TS_VALID, ts_us=round(taken_s * 1e6))
            session.receive(frame, taken_s + delay_s)
            job = session.take(taken_s + delay_s)
            assert job is not None
            session.finish(STEPPER.run([job])[0], taken_s + delay_s)
        return [item for item in await _sent(session) if isinstance(item, dict) and item["type"] == "warning"]

    assert await warnings(0.01, *[0.5] * 25, 0.01, *[0.5] * 25) == []
    (warning,) = await warnings(*[0.6] * 20)
    assert (warning["code"], warning["data"]) == ("low_bandwidth", {"delay_ms": 590.0})
    assert await warnings(*[0.01] * 60) == []
