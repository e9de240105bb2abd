"""When a server counts as overloaded, and what that does to its sessions."""

from __future__ import annotations

import asyncio

import pytest

from models.package import load_tracker
from models.tracker import Tracker
from service.engine import relief as relief_module
from service.engine.relief import Relief
from service.engine.session import Session
from service.protocol.requests import CreateRequest, TargetRequest
from tests.drawing import Drawing
from tests.unit.service.test_scheduler import RecordingRuntime, serving
from tests.waiting import until


def second(relief: Relief, now_s: float, busy: float, replaced: int) -> bool:
    """A second in which two workers were so busy, worked off 100 frames, and so many others were replaced."""
    halves = [relief.worked(now_s - rest, busy, frames=50, replaced=replaced // 2) for rest in (0.5, 0.0)]
    return any(halves)


@pytest.mark.parametrize(
    ("busy", "replaced", "cadence"),
    [
        pytest.param(0.95, 10, 4, id="busy, and frames are lost"),
        pytest.param(1.0, 0, 1, id="busy with clients that wait for their results"),
        pytest.param(0.5, 50, 1, id="one stream that is too fast for itself, and time to spare"),
    ],
)
def test_relief_begins_when_frames_are_lost_for_want_of_time(busy: float, replaced: int, cadence: int) -> None:
    relief = Relief(2, 4, 0.0)
    assert relief.cadence == 1
    assert second(relief, 1.0, busy, replaced) is (cadence > 1)
    assert relief.cadence == cadence


def test_relief_goes_on_while_it_is_what_keeps_the_load_low_and_ends_after_that() -> None:
    relief = Relief(2, 4, 0.0)
    loads = [(0.95, 10), (0.6, 0), (0.5, 0), (0.3, 0), (0.6, 0)]
    cadences = []
    for number, (busy, replaced) in enumerate(loads, 1):
        second(relief, float(number), busy, replaced)
        cadences.append(relief.cadence)
    assert cadences == [4, 4, 4, 1, 1]


def test_a_long_pause_counts_as_idle_time() -> None:
    relief = Relief(1, 4, 0.0)
    assert relief.worked(1.0, 1.0, frames=10, replaced=10)
    assert relief.worked(600.0, 1.0, frames=10, replaced=10)
    assert relief.cadence == 1


def test_relief_that_is_switched_off_changes_nothing() -> None:
    relief = Relief(1, 1, 0.0)
    assert not second(relief, 1.0, 1.0, 50)
    assert relief.cadence == 1


async def test_an_overloaded_server_carries_the_targets_of_sessions_that_leave_it_the_choice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The event loop that sends here keeps the worker waiting, as no other process would.
    monkeypatch.setattr(relief_module, "BUSY", 0.05)
    runtime = RecordingRuntime()
    runtime.gate.set()
    registry, scheduler = await serving(
        Tracker(load_tracker("dummy").spec, runtime), "m", largest=1, cadence_under_load=4
    )
    drawing = Drawing(width=1280, height=720, speed_x=0.0, speed_y=0.0)
    target = TargetRequest(box=list(drawing.box(0).xywh()))
    choices = {"the server's": None, "its own": 1}
    request = CreateRequest(targets=[target], deadline_ms=None)
    sessions = {who: registry.create(request.model_copy(update={"cadence": c})) for who, c in choices.items()}
    file = drawing.jpeg(0)

    def send(session: Session) -> None:
        session.receive(file, 0.0)

    async with asyncio.timeout(20):
        while registry.metrics.registry.get_sample_value("lockon_cadence") == 1:
            for session in sessions.values():
                send(session)
            await asyncio.sleep(0)
    await until(lambda: not any(session.waiting for session in sessions.values()))

    async def looks_in_eight_frames(session: Session) -> int:
        before = len(runtime.sizes)
        for _ in range(8):
            send(session)
            await until(lambda: not session.waiting)
        return len(runtime.sizes) - before

    looks = {who: await looks_in_eight_frames(session) for who, session in sessions.items()}
    scheduler.stop(1.0)
    assert looks == {"the server's": 2, "its own": 8}
