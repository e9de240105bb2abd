"""A session with a cadence: the network looks less often, every frame gets its result."""

from __future__ import annotations

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.engine.models import Model
from service.engine.operations import ARRIVAL_WAIT_S
from service.engine.outbox import Outbox, ResultDraft
from service.engine.session import Session
from service.engine.steps import Stepper
from service.protocol.header import Flag
from service.protocol.messages import SessionUpdate, TargetAdd
from service.protocol.requests import CreateRequest, PatchRequest, TargetRequest
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing
from tests.end_to_end.conftest import MUST, with_header

DRAWING = Drawing(speed_x=2.0, speed_y=1.0)
FILES = list(DRAWING.jpegs(17))


async def test_targets_are_carried_between_looks_and_a_change_of_the_cadence_holds_at_once() -> None:
    tracker = load_tracker("dummy")
    stepper = Stepper(tracker, HostDecoder())
    boxes = {"a": list(DRAWING.box(0).xywh()), "b": [200.0, 20.0, 40.0, 40.0]}  # b is noise: never calm, or still
    targets = [TargetRequest(id=name, box=box) for name, box in boxes.items()]
    model = Model("m", tracker, stepper, Metrics().tally("m"))
    session = Session(
        "ses_1", CreateRequest(targets=targets, cadence=4), model, LimitSettings(), lambda _session: None, 0.0
    )
    outbox = Outbox(1000)
    session.attach(outbox, 0.0)
    looked: list[bool] = []
    for index, file in enumerate(FILES):
        if index == 13:
            session.change(PatchRequest(cadence=None))
        session.receive(file, index / 25)
        job = session.take(index / 25)
        assert job is not None
        (outcome,) = stepper.run([job])
        session.finish(outcome, index / 25)
        views = {
            view["id"]: view
            for draft in [await outbox.get()]
            if isinstance(draft, ResultDraft)
            for view in draft.targets
        }
        assert list(views) == ["a", "b"]
        truth = DRAWING.box(index)
        assert abs(views["a"]["box"][0] - truth.x) < 1.5
        looked.append(views["a"]["search"] != "carried")
    assert looked == [True, True, *[False, False, False, True] * 3][:13] + [True] * 4


def test_a_frame_after_a_cut_is_looked_at_whatever_the_cadence() -> None:
    tracker = load_tracker("dummy")
    model = Model("m", tracker, Stepper(tracker, HostDecoder()), Metrics().tally("m"))
    request = CreateRequest(targets=[TargetRequest(box=list(DRAWING.box(0).xywh()))], cadence=4)
    session = Session("ses_1", request, model, LimitSettings(), lambda _session: None, 0.0)
    session.attach(Outbox(1000), 0.0)
    cadences = []
    for seq, file in enumerate(FILES[:4], 1):
        session.receive(with_header(file, seq, flags=Flag.DISCONTINUITY if seq == 3 else 0), seq / 25)
        job = session.take(seq / 25)
        assert job is not None
        cadences.append(job.cadence)
        session.finish(model.stepper.run([job])[0], seq / 25)
    assert cadences == [4, 4, 1, 4]


def test_a_change_that_waited_for_an_operation_before_it_holds_for_the_frame_that_ends_the_wait() -> None:
    tracker = load_tracker("dummy")
    model = Model("m", tracker, Stepper(tracker, HostDecoder()), Metrics().tally("m"))
    box = list(DRAWING.box(0).xywh())
    request = CreateRequest(targets=[TargetRequest(box=box)])
    session = Session("ses_1", request, model, LimitSettings(), lambda _session: None, 0.0)
    session.attach(Outbox(1000), 0.0)
    session.receive(FILES[0], 0.0)
    job = session.take(0.0)
    assert job is not None
    session.finish(model.stepper.run([job])[0], 0.0)
    session.operate(TargetAdd(type="target.add", op="add", box=box, on_seq=100), 0.0)
    session.operate(SessionUpdate(type="session.update", op="update", cadence=3), 0.0)
    late_s = ARRIVAL_WAIT_S + 1.0
    session.receive(FILES[1], late_s)
    assert session.request.cadence is None, "frame 100 may still come"
    job = session.take(late_s)
    assert job is not None
    assert job.cadence == 3


async def test_a_session_hears_once_that_overload_begins_or_ends_for_it() -> None:
    tracker = load_tracker("dummy")
    model = Model("m", tracker, Stepper(tracker, HostDecoder()), Metrics().tally("m"))
    session = Session(
        "ses_1",
        CreateRequest(targets=[TargetRequest(box=list(DRAWING.box(0).xywh()))]),
        model,
        LimitSettings(),
        lambda _session: None,
        0.0,
    )

    async def told(outbox: Outbox, *cadences: int, flags: int = 0) -> list[int]:
        """What is said while overload asks for these, one frame each."""
        for cadence in cadences:
            now_s = (session.last_seq + 1) / 25
            session.receive(with_header(FILES[0], max(0, session.last_seq) + 1, flags=flags), now_s)
            job = session.take(now_s, cadence)
            assert job is not None
            (outcome,) = model.stepper.run([job])
            session.finish(outcome, now_s)
        items = [await outbox.get() for _ in range(len(outbox))]
        return [each["data"]["cadence"] for each in items if isinstance(each, dict) and each.get("kind") == "degraded"]

    first = Outbox(1000)
    session.attach(first, 0.0)
    assert await told(first, 1, 4, 4, 4, 1, 1) == [4, 1]
    assert await told(first, 4, flags=MUST) == []  # of these each counts
    assert await told(first, 4) == [4]
    session.change(PatchRequest(cadence=2))
    assert await told(first, 4, 4) == [1]  # it is the session's own choice now
    session.change(PatchRequest(cadence=None))
    assert await told(first, 4) == [4]
    second = Outbox(1000)
    session.attach(second, 0.0)
    assert await told(second, 4, 4) == [4], "a new socket takes itself for undisturbed"
