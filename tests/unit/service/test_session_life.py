"""The life of sessions as a state machine: whatever comes in whatever order, every frame has one fate, every operation
one answer, and every message is one of the documented ones. Real engine; the test is the worker and the clock."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from time import perf_counter
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pydantic import TypeAdapter

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.engine.jobs import Job, Outcome
from service.engine.models import Model, Models
from service.engine.outbox import CloseOrder, Outbox, ResultDraft
from service.engine.registry import Registry, SessionMissing
from service.engine.session import Session
from service.protocol.messages import Operation, SessionUpdate, TargetAdd, TargetRemove, TargetsSet, TargetUpdate
from service.protocol.requests import CreateRequest, TargetRequest
from service.protocol.results import encoded
from service.protocol.server_messages import SERVER_MESSAGES
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing
from tests.end_to_end.conftest import MUST, with_header

DRAWING = Drawing(width=64, height=64, side=16)
FILES = list(DRAWING.jpegs(6))
BODIES = {str(number): file for number, file in enumerate(FILES)} | {
    "damaged": FILES[0][:-40],
    "no image": b"no image",
    "empty": b"",
}
BOX = list(DRAWING.box(0).xywh())
SPOKEN = {name: TypeAdapter(kind) for name, kind in SERVER_MESSAGES.items()}
LIMITS = LimitSettings(must_queue=3, ring_frames=4, max_targets=3, detached_ttl_s=20, idle_timeout_s=60)
TTL_S, IDLE_S = 20, 60

SESSIONS = st.integers(0, 2)
IDS = st.sampled_from(["a", "b", "c", "d"])
OPS = st.sampled_from([f"op{number}" for number in range(8)])
BOXES = st.sampled_from([BOX, BOX, BOX, [0.0, 0.0, 2.0, 2.0], [900.0, 0.0, 20.0, 20.0]])
ON_SEQ = st.one_of(st.just("next"), st.integers(0, 30))
TARGETS = st.lists(st.builds(TargetRequest, id=IDS, box=BOXES, on_seq=ON_SEQ), max_size=4, unique_by=lambda t: t.id)


class Hand:
    """Does for the registry what a scheduler does, but gives no work to anybody."""

    workers = 1

    def wake(self, session: Session) -> None:
        """Nobody is waked."""

    def forget(self, session: Session) -> None:
        """Nothing was remembered."""

    def models_at_work(self) -> set[Model]:
        """The machine's sessions keep their model in use."""
        return set()


class Lives(RuleBasedStateMachine):
    """Three sessions at most, each with a socket or without, with a job out or without."""

    models: Models
    metrics: Metrics

    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry(self.models, LIMITS, Hand(), self.metrics)  # type: ignore[arg-type]
        self.now_s = perf_counter()
        self.sessions: list[Session] = []
        self.closed: list[Session] = []
        self.jobs: dict[str, Job] = {}
        self.asked: dict[str, set[str]] = {}

    def at(self, index: int) -> Session | None:
        """One of the sessions that are there."""
        return self.sessions[index % len(self.sessions)] if self.sessions else None

    def attached(self, index: int) -> Session | None:
        """One of the sessions if it has a socket."""
        session = self.at(index)
        return session if session is not None and session.outbox is not None else None

    @initialize()
    def begin(self) -> None:
        """A first session, so that there is something to do."""
        self.create("latest", [TargetRequest(id="a", box=BOX)], TTL_S)
        self.attach(0)

    @precondition(lambda self: len(self.sessions) < 3)
    @rule(mode=st.sampled_from(["latest", "every"]), boxes=TARGETS, ttl_s=st.sampled_from([0, TTL_S]))
    def create(self, mode: Any, boxes: list[TargetRequest], ttl_s: int) -> None:
        """POST /v1/sessions."""
        request = CreateRequest(mode=mode, targets=boxes[: LIMITS.max_targets], detached_ttl_s=ttl_s)
        session = self.registry.create(request, "me")
        self.sessions.append(session)
        self.asked[session.id] = set()

    @rule(index=SESSIONS, goes_on=st.booleans())
    def attach(self, index: int, goes_on: bool = False) -> None:
        """A socket, also where there is another one."""
        session = self.at(index)
        if session is None:
            return
        before, outbox = session.outbox, Outbox(64)
        epoch = session.epoch
        session.attach(outbox, self.now_s)
        session.go_on(session.last_seq if goes_on else None)
        assert session.epoch == epoch + 1
        if before is not None:
            # Or it was about to be closed anyway.
            assert next(item.code for item in heard(before) if isinstance(item, CloseOrder)) in (4409, 4408, 4415)

    @rule(
        index=SESSIONS,
        name=st.sampled_from(list(BODIES)),
        header=st.sampled_from(["bare", "bare", "plain", "must", "silent", "window"]),
        step=st.sampled_from([1, 1, 1, 5, 0, -1]),
    )
    def frame(self, index: int, name: str, header: str, step: int) -> None:
        """A binary message."""
        session = self.attached(index)
        if session is None:
            return
        seq = max(0, session.last_seq + step)
        file, flags = BODIES[name], {"must": MUST, "silent": 512}.get(header, 0)
        if header == "window":
            file = with_header(file, seq, kind=1, size=(128, 128), window=(8, 16, 0, 0))
        elif header != "bare":
            file = with_header(file, seq, flags=flags)
        received = session.counters.received
        session.receive(file, self.now_s)
        assert session.counters.received == received + 1

    @rule(index=SESSIONS, kind=st.sampled_from("arus"), op=OPS, id=IDS, box=BOXES, on_seq=ON_SEQ, boxes=TARGETS)
    def operate(self, index: int, kind: str, op: str, id: str, box: Any, on_seq: Any, boxes: Any) -> None:  # noqa: A002
        """An operation, whose name may have been used before."""
        session = self.attached(index)
        if session is None:
            return
        made: dict[str, Callable[[], Operation]] = {
            "a": lambda: TargetAdd(type="target.add", op=op, id=id, box=box, on_seq=on_seq),
            "u": lambda: TargetUpdate(type="target.update", op=op, id=id, box=box, on_seq=on_seq),
            "r": lambda: TargetRemove(type="target.remove", op=op, id=id),
            "s": lambda: TargetsSet(type="targets.set", op=op, targets=boxes),
        }
        self.asked[session.id].add(op)
        session.operate(made[kind](), self.now_s)

    @rule(
        index=SESSIONS,
        op=OPS,
        settings=st.fixed_dictionaries(
            {},
            optional={
                "mode": st.sampled_from(["latest", "every"]),
                "max_fps": st.sampled_from([None, 0.5, 20.0]),
                "deadline_ms": st.sampled_from([None, 20.0, 2000.0]),
                "metadata": st.dictionaries(st.integers(0, 20).map(str), st.sampled_from([None, 1]), max_size=12),
            },
        ),
    )
    def update(self, index: int, op: str, settings: dict[str, Any]) -> None:
        """Other settings."""
        session = self.attached(index)
        if session is not None:
            self.asked[session.id].add(op)
            session.operate(SessionUpdate(type="session.update", op=op, **settings), self.now_s)

    @rule(index=SESSIONS)
    def take(self, index: int) -> None:
        """A worker takes a job."""
        session = self.at(index)
        if session is not None and session.id not in self.jobs and (job := session.take(self.now_s)) is not None:
            self.jobs[session.id] = job

    @rule(index=SESSIONS, fails=st.sampled_from([False] * 9 + [True]))
    def finish(self, index: int, fails: bool) -> None:
        """A worker comes back with a job, which may be that of a session that was closed meanwhile."""
        waiting = list(self.jobs)
        if waiting:
            self.done(waiting[index % len(waiting)], fails=fails)

    def done(self, session_id: str, *, fails: bool = False) -> None:
        """Works a job off."""
        job = self.jobs.pop(session_id)
        session = next(session for session in [*self.sessions, *self.closed] if session.id == session_id)
        (outcome,) = [Outcome(internal=True)] if fails else session.model.stepper.run([job])
        outcome.done_s, outcome.timings.wait = self.now_s, 0.0  # which were told by the real clock
        session.finish(outcome, self.now_s)

    @rule(index=SESSIONS)
    def detach(self, index: int) -> None:
        """The line breaks."""
        session = self.attached(index)
        if session is not None:
            self.listen()
            session.detach(self.now_s)
            assert session.state == "detached"

    @rule(index=SESSIONS)
    def delete(self, index: int) -> None:
        """DELETE /v1/sessions/{id}."""
        session = self.at(index)
        if session is not None:
            outbox = session.outbox
            self.registry.close(session, "deleted")
            self.ended(session)
            if outbox is not None:
                assert isinstance(heard(outbox)[-1], CloseOrder)
                session.detach(self.now_s)

    def ended(self, session: Session) -> None:
        """A session is no more."""
        self.sessions.remove(session)
        self.closed.append(session)
        assert session.state == "closed"
        for owner in ("me", "you"):
            with pytest.raises(SessionMissing) as missing:
                self.registry.find_own(session.id, owner)
            assert owner == "me" or not missing.value.gone

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, TTL_S + 1.0, IDLE_S + 1.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now_s += seconds
        self.registry.sweep(self.now_s)
        there = self.registry.all()
        for session in [session for session in self.sessions if session not in there]:
            assert session.outbox is None
            self.ended(session)

    @rule()
    def listen(self) -> None:
        """The clients read what was said to them."""
        for session in self.sessions:
            if session.outbox is not None:
                for item in heard(session.outbox):
                    self.understand(session, item)

    def understand(self, session: Session, item: Any) -> None:
        """Checks one message."""
        if isinstance(item, CloseOrder):
            assert 4400 <= item.code < 4600
            session.detach(self.now_s)
            return
        message = session.answers.payload(item, session.epoch, self.now_s) if isinstance(item, ResultDraft) else item
        message = json.loads(encoded(message))
        SPOKEN[message["type"]].validate_python(message, strict=True)
        if message["type"] == "ack":
            assert message["op"] in self.asked[session.id]

    @invariant()
    def every_frame_has_one_fate(self) -> None:
        """Of all sessions, also of those that are closed."""
        for session in [*self.sessions, *self.closed]:
            counters = session.counters
            fates = counters.processed + counters.dropped + counters.rejected + session.waiting
            assert counters.received == fates
            assert min(counters.processed, counters.dropped, counters.rejected, session.waiting) >= 0

    @invariant()
    def states_are_legal(self) -> None:
        """What a session is shows in what it has."""
        assert self.registry.all() == self.sessions[::-1]
        for session in self.sessions:
            assert not session.failed
            assert (session.state == "live") == (session.outbox is not None)
            assert session.state in ("created", "live", "detached")
            assert len(session.followed) <= LIMITS.max_targets
            assert session.waiting <= LIMITS.must_queue + 2
            assert session.held_bytes <= (LIMITS.must_queue + 2 + LIMITS.ring_frames) * max(map(len, FILES))
            assert session.id in self.jobs or not session.in_flight

    def teardown(self) -> None:
        """In the end nothing is left over."""
        for session_id in list(self.jobs):
            self.done(session_id)
        for session in self.sessions:
            while (job := session.take(self.now_s)) is not None:
                self.jobs[session.id] = job
                self.done(session.id)
                self.now_s += session.pause_s(self.now_s)
            assert session.waiting == 0
            self.registry.close(session, "shutdown")
        self.every_frame_has_one_fate()
        assert len(self.registry) == 0
        assert self.registry.held_bytes == 0


def heard(outbox: Outbox) -> list[Any]:
    """Everything that waits to be sent."""
    items = []
    while len(outbox):
        try:
            outbox.get().send(None)
        except StopIteration as done:
            items.append(done.value)
    return items


@pytest.fixture(scope="module")
def machine() -> type[Lives]:
    """The machine with the dummy model."""
    Lives.metrics = Metrics()
    Lives.models = Models(lambda _: load_tracker("dummy"), HostDecoder(), 2, (), Lives.metrics)
    asyncio.run(Lives.models.load("dummy"))
    return Lives


QUICK = settings(
    max_examples=60, stateful_step_count=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)


def test_sessions_live_as_documented(machine: type[Lives]) -> None:
    run_state_machine_as_test(machine, settings=QUICK)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sessions_live_as_documented_for_long(machine: type[Lives]) -> None:
    run_state_machine_as_test(machine, settings=settings(QUICK, max_examples=1500, derandomize=False))
