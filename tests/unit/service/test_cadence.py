"""A session with a cadence: the network looks less often, every frame gets its result."""

from __future__ import annotations

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.engine.models import Model
from service.engine.outbox import Outbox, ResultDraft
from service.engine.session import Session
from service.engine.steps import Stepper
from service.protocol.messages import CreateRequest, PatchRequest, TargetRequest
from service.settings import LimitSettings
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing

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
