"""Who is served next, and that what a worker does never depends on who is beside."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from time import perf_counter

import pytest

from models.package import load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.kinds import Precision
from models.tracker import Tracker
from service.engine.batching import BatchCurve
from service.engine.decoding import HostDecoder
from service.engine.models import Models
from service.engine.outbox import CloseOrder, Outbox
from service.engine.registry import Registry
from service.engine.scheduler import Scheduler
from service.engine.session import Session
from service.protocol.requests import CreateRequest, PatchRequest, TargetRequest
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from service.telemetry.tally import ModelTally
from tests.drawing import Drawing
from tests.waiting import until


class RecordingRuntime:
    """Obeys the port; notes how many crops each search has, and waits for the gate."""

    name = "recording"
    device = "cpu"
    precision = Precision.F32

    def __init__(self) -> None:
        self._inner = load_tracker("dummy").runtime
        self.gate = threading.Event()
        self.sizes: list[int] = []

    def template(self, crops: ByteArray) -> list[Features]:
        assert self.gate.wait(10)
        return self._inner.template(crops)

    def joined(self, templates: Sequence[Features]) -> Features:
        return self._inner.joined(templates)

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        self.sizes.append(len(crops))
        return self._inner.search(features, crops, size, loop)


async def serving(
    tracker: Tracker, *names: str, largest: int = 2, cadence_under_load: int = 1
) -> tuple[Registry, Scheduler]:
    """One worker, batches of two targets, and that tracker under each of the names."""
    metrics = Metrics()
    models = Models(lambda _: tracker, HostDecoder(), 2, (), metrics)
    for name in names:
        (await models.load(name)).curve = BatchCurve({}, largest)
    scheduler = Scheduler(1, asyncio.get_running_loop(), metrics, cadence_under_load)
    return Registry(models, LimitSettings(), scheduler, metrics), scheduler


@pytest.mark.parametrize(
    "drawings",
    [
        pytest.param([Drawing()] * 5, id="alike"),
        pytest.param([Drawing(width=3840, height=2160), *[Drawing()] * 4], id="one of 4K frames among small ones"),
        pytest.param([Drawing(seed=1), *[Drawing()] * 20], id="one of a client beside many of another"),
    ],
)
async def test_each_session_gets_its_turn_before_any_gets_a_second_one(drawings: list[Drawing]) -> None:
    runtime = RecordingRuntime()
    tracker = Tracker(load_tracker("dummy").spec, runtime)
    runtime.gate.set()
    registry, scheduler = await serving(tracker, "m")
    runtime.gate.clear()
    runtime.sizes.clear()
    sessions = []
    for drawing in drawings:
        request = CreateRequest(mode="every", targets=[TargetRequest(box=list(drawing.box(0).xywh()))])
        sessions.append(registry.create(request, owner=f"client {drawing.seed}"))
        file = drawing.jpeg(0)
        for _ in range(4):
            sessions[-1].receive(file, 0.0)
    served: list[list[int]] = []
    runtime.gate.set()
    async with asyncio.timeout(10):
        while any(session.waiting for session in sessions):
            served.append([session.counters.processed for session in sessions])
            await asyncio.sleep(0)
    scheduler.stop(1.0)
    assert all(max(counts) - min(counts) <= 1 for counts in served)
    assert [session.counters.processed for session in sessions] == [4] * len(drawings)
    assert max(runtime.sizes) == 2


async def test_a_batch_is_limited_by_its_targets_and_holds_one_model() -> None:
    runtime = RecordingRuntime()
    runtime.gate.set()
    registry, scheduler = await serving(Tracker(load_tracker("dummy").spec, runtime), "a", "b", largest=4)
    drawing = Drawing()
    box = list(drawing.box(0).xywh())

    def session(model: str, targets: int) -> Session:
        request = CreateRequest(model=model, mode="every", targets=[TargetRequest(box=box) for _ in range(targets)])
        return registry.create(request)

    sessions = [session("a", 2), session("a", 2), session("b", 1), session("a", 4)]
    for each in sessions:
        each.receive(drawing.jpeg(0), 0.0)
    await until(lambda: not any(each.waiting for each in sessions))
    runtime.gate.clear()
    runtime.sizes.clear()
    blocker = session("b", 1)
    blocker.receive(drawing.jpeg(0), 0.0)
    for each in sessions:
        each.receive(drawing.jpeg(1), 0.0)
    runtime.gate.set()
    await until(lambda: not any(each.waiting for each in [*sessions, blocker]))
    scheduler.stop(1.0)
    # Two sessions with two targets each are as many as may go together; the one with four is next, then model b.
    assert runtime.sizes == [4, 4, 1]


async def test_the_sessions_of_a_batch_go_into_the_next_one_together() -> None:
    runtime = RecordingRuntime()
    runtime.gate.set()
    registry, scheduler = await serving(Tracker(load_tracker("dummy").spec, runtime), "m", largest=4)
    drawing = Drawing()
    request = CreateRequest(mode="every", targets=[TargetRequest(box=list(drawing.box(0).xywh()))])
    sessions = [registry.create(request) for _ in range(4)]
    for session in sessions:
        session.receive(drawing.jpeg(0), 0.0)
    await until(lambda: not any(session.waiting for session in sessions))
    runtime.gate.clear()
    runtime.sizes.clear()
    blocker = registry.create(request)
    blocker.receive(drawing.jpeg(0), 0.0)
    for index in range(1, 5):
        for session in sessions:
            session.receive(drawing.jpeg(index), 0.0)
    runtime.gate.set()
    await until(lambda: not any(session.waiting for session in [*sessions, blocker]))
    scheduler.stop(1.0)
    assert runtime.sizes == [4, 4, 4, 4]


async def test_a_frame_that_waits_for_max_fps_is_followed_when_that_is_raised() -> None:
    registry, scheduler = await serving(load_tracker("dummy"), "m")
    drawing = Drawing()
    session = registry.create(CreateRequest(max_fps=0.2, targets=[TargetRequest(box=list(drawing.box(0).xywh()))]))
    for _ in range(2):
        session.receive(drawing.jpeg(0), perf_counter())
        await until(lambda: not session.waiting)
    session.receive(drawing.jpeg(0), perf_counter())
    async with asyncio.timeout(2):  # instead of five
        session.change(PatchRequest(max_fps=20))
        await until(lambda: not session.waiting)
    scheduler.stop(1.0)


class SmallRuntime(RecordingRuntime):
    """Has no memory for more than two crops at once."""

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        if len(crops) > 2:
            raise RuntimeError("out of memory")
        return super().search(features, crops, size, loop)


async def test_a_batch_that_is_too_much_for_the_device_is_done_one_by_one_and_later_ones_are_smaller() -> None:
    runtime = SmallRuntime()
    runtime.gate.set()
    registry, scheduler = await serving(Tracker(load_tracker("dummy").spec, runtime), "m", largest=4)
    drawing = Drawing()
    request = CreateRequest(mode="every", targets=[TargetRequest(box=list(drawing.box(0).xywh()))])
    sessions = [registry.create(request) for _ in range(9)]
    for index in range(3):
        for session in sessions:
            session.receive(drawing.jpeg(index), 0.0)
    await until(lambda: not any(session.waiting for session in sessions))
    assert scheduler.trouble() is None
    scheduler.stop(1.0)
    assert [session.counters.processed for session in sessions] == [3] * 9
    assert registry.models.ready["m"].curve.largest == 2


class FaultyTally(ModelTally):
    """Obeys the port, but cannot count processed frames: a fault in the middle of taking results back."""

    def processed(self, age_s: float) -> None:
        raise RuntimeError("a fault of ours")


async def test_a_fault_with_one_sessions_results_leaves_the_others_and_the_worker_alone() -> None:
    registry, scheduler = await serving(load_tracker("dummy"), "good", "faulty")
    registry.models.ready["faulty"].tally = FaultyTally(registry.metrics, "faulty")
    drawing = Drawing()
    targets = [TargetRequest(box=list(drawing.box(0).xywh()))]
    # No deadline: the log of the fault takes its time.
    requests = [CreateRequest(model=name, targets=targets, deadline_ms=None) for name in ("faulty", "good", "good")]
    sessions = [registry.create(request) for request in requests]
    outbox = Outbox(8)
    sessions[0].attach(outbox, 0.0)
    for session in sessions:
        session.receive(drawing.jpeg(0), 0.0)
    await until(lambda: not any(session.waiting for session in sessions))
    assert [session.counters.processed for session in sessions] == [1, 1, 1]
    assert (await outbox.get(), await outbox.get())[1] == CloseOrder(
        1011, "internal: the server failed on this session"
    )
    registry.sweep(0.0)
    assert registry.all() == [sessions[2], sessions[1]]
    assert scheduler.trouble() is None
    scheduler.stop(1.0)
    assert scheduler.trouble() == "stopped"
