"""When a client hears that fewer of its frames are answered than come."""

from __future__ import annotations

import pytest

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.engine.models import Model
from service.engine.outbox import Outbox
from service.engine.rates import AnsweredRate, RateChange
from service.engine.session import Session
from service.engine.steps import Stepper
from service.protocol.requests import CreateRequest, TargetRequest
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing


class Stream:
    """Frames that come 30 times a second, of which some are answered."""

    def __init__(self, max_fps: float | None = None) -> None:
        self.rate, self.max_fps = AnsweredRate(), max_fps
        self.now_s, self.processed, self.replaced = 0.0, 0.0, 0.0

    def runs(self, seconds: float, answered: float) -> list[RateChange]:
        """What is told while so many of 30 frames a second are answered."""
        told = []
        for _ in range(round(seconds * 30)):
            self.now_s += 1 / 30
            self.processed += answered / 30
            self.replaced += 1 - answered / 30
            change = self.rate.changed(self.now_s, round(self.processed), round(self.replaced), self.max_fps)
            told += [change] if change is not None else []
        return told


def test_nothing_is_told_while_all_frames_are_answered() -> None:
    assert Stream().runs(20, 29.9) == []


def test_a_reduced_rate_is_told_once_and_again_when_it_changes_or_is_whole() -> None:
    stream = Stream()
    (reduced,) = stream.runs(10, 15)
    assert reduced == pytest.approx((30, 15), abs=1)
    slower = stream.runs(8, 5)[-1]
    assert slower == pytest.approx((30, 5), abs=1)
    whole = stream.runs(6, 30)[-1]
    assert whole == pytest.approx((30, 30), abs=1)
    assert stream.runs(10, 30) == []


def test_frames_beyond_the_sessions_own_limit_are_not_missed() -> None:
    assert Stream(max_fps=15).runs(20, 15) == []


def test_a_pause_says_nothing() -> None:
    stream = Stream()
    assert stream.runs(1.5, 30) == []
    stream.now_s += 60
    assert stream.runs(10, 30) == []


async def test_the_client_of_an_overloaded_session_gets_the_event() -> None:
    tracker = load_tracker("dummy")
    model = Model("m", tracker, Stepper(tracker, HostDecoder()), Metrics().tally("m"))
    drawing = Drawing()
    request = CreateRequest(targets=[TargetRequest(box=list(drawing.box(0).xywh()))])
    session = Session("ses_1", request, model, LimitSettings(), lambda _session: None, 0.0)
    outbox = Outbox(1000)
    session.attach(outbox, 0.0)
    file = drawing.jpeg(0)
    for index in range(70):
        session.receive(file, index / 30)
    messages = [await outbox.get() for _ in range(2)]
    assert messages[-1] == {"type": "event", "kind": "rate_changed", "data": {"wanted_fps": 30.0, "fps": 0.0}}
