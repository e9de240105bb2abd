"""Thresholds of a session's own, and what is done about a target that does not come back."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.package import load_tracker
from models.presence import State
from models.spec import PresenceSpec
from service.engine.changing import ChangeRefused
from service.engine.decoding import HostDecoder
from service.engine.models import Model
from service.engine.outbox import Outbox, ResultDraft
from service.engine.session import Session
from service.engine.steps import Stepper
from service.engine.thresholds import REST_S, applied
from service.protocol.messages import TargetUpdate
from service.protocol.requests import CreateRequest, PatchRequest, TargetRequest, Thresholds
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from service.telemetry.tally import ModelTally
from tests.drawing import Drawing, jpeg

DRAWING = Drawing(width=96, height=96, side=24)
HERE = DRAWING.jpeg(0)
AWAY = jpeg(np.random.default_rng(0).integers(0, 80, (96, 96, 3), np.uint8))
TRACKER = load_tracker("dummy")
STEPPER = Stepper(TRACKER, HostDecoder())
FRAME_S = 0.1
SCORES = st.none() | st.floats(0, 1)


class RecordingTally(ModelTally):
    """Notes the changes of states that are counted."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        super().__init__(metrics, model)
        self.moves: list[tuple[str, str]] = []

    def moved(self, before: str, after: str) -> None:
        self.moves.append((before, after))


class Stream:
    """A session that is sent a frame every tenth of a second, and what it says."""

    def __init__(self, tally: ModelTally | None = None, **thresholds: float) -> None:
        model = Model("m", TRACKER, STEPPER, tally or Metrics().tally("m"))
        request = CreateRequest(
            targets=[TargetRequest(id="a", box=list(DRAWING.box(0).xywh()))], thresholds=Thresholds(**thresholds)
        )
        self.session = Session("ses_1", request, model, LimitSettings(), lambda _session: None, 0.0)
        self.session.attach(Outbox(1000), 0.0)
        self.now_s = 0.0
        self.jobs = 0

    async def send(self, image: bytes) -> list[Any]:
        """What is said about one more frame."""
        self.now_s += FRAME_S
        self.session.receive(image, self.now_s)
        return await self.work()

    async def correct(self, mode: Literal["reinit", "hint"], on_seq: int | Literal["next"]) -> list[Any]:
        """What is said when the target's box is drawn again in that frame."""
        box = list(DRAWING.box(0).xywh())
        operation = TargetUpdate(type="target.update", op="u", id="a", box=box, on_seq=on_seq, mode=mode)
        self.session.operate(operation, self.now_s)
        return await self.work()

    async def work(self) -> list[Any]:
        """What is said when all jobs that there are have been worked off."""
        while (job := self.session.take(self.now_s)) is not None:
            self.jobs += 1
            (outcome,) = STEPPER.run([job])
            self.session.finish(outcome, self.now_s)
        outbox = self.session.outbox
        assert outbox is not None
        return [await outbox.get() for _ in range(len(outbox))]

    async def until(self, image: bytes, kind: str) -> None:
        """Sends the image until an event of that kind comes."""
        for _ in range(100):
            if any(isinstance(item, dict) and item.get("kind") == kind for item in await self.send(image)):
                return
        raise AssertionError(f"no event {kind}")


def _result(said: list[Any]) -> Any:
    (draft,) = [item for item in said if isinstance(item, ResultDraft)]
    return draft.targets[0]


async def test_a_target_that_stays_away_is_given_up_and_then_looked_for_now_and_then() -> None:
    stream = Stream(give_up_ms=1000, lost_after_ms=200)
    await stream.send(HERE)
    await stream.until(AWAY, "gave_up")
    jobs, frames = stream.jobs, round(2 * REST_S / FRAME_S)
    for _ in range(frames):
        view = _result(await stream.send(AWAY))
        assert view["state"] == State.LOST
    assert view["search"] == "none"
    assert 1 <= stream.jobs - jobs <= 4
    counters = stream.session.counters
    assert counters.received == counters.processed
    await stream.until(HERE, "reacquired")


@pytest.mark.parametrize("mode", ["reinit", "hint"])
async def test_a_target_that_was_given_up_and_is_drawn_again_is_looked_for_at_once(
    mode: Literal["reinit", "hint"],
) -> None:
    stream = Stream(give_up_ms=1000, lost_after_ms=200)
    await stream.send(HERE)
    await stream.until(AWAY, "gave_up")
    assert _result(await stream.send(HERE))["search"] == "none"
    await stream.correct(mode, stream.session.last_seq)
    said = await stream.send(HERE)
    assert _result(said)["search"] != "none"
    if mode == "reinit":
        assert (_result(said)["state"], _result(said)["lost_ms"]) == (State.TRACKING, None)
    else:
        await stream.until(HERE, "reacquired")


async def test_each_change_of_a_targets_state_is_counted_also_when_it_is_started_anew() -> None:
    tally = RecordingTally(Metrics(), "m")
    stream = Stream(tally, lost_after_ms=200)
    await stream.send(HERE)
    await stream.until(AWAY, "lost")
    await stream.send(HERE)
    await stream.correct("reinit", stream.session.last_seq)
    await stream.send(HERE)
    assert tally.moves[-2:] == [(State.LOST, State.INITIALIZING), (State.INITIALIZING, State.TRACKING)]
    assert [before for before, _ in tally.moves[1:]] == [after for _, after in tally.moves[:-1]]


@pytest.mark.parametrize("give_up_ms", [60_000, 1000], ids=["lost", "given up"])
async def test_a_hint_leaves_a_target_lost_until_it_is_seen_and_is_looked_at_in_the_next_frame(
    give_up_ms: float,
) -> None:
    stream = Stream(give_up_ms=give_up_ms, lost_after_ms=200)
    await stream.send(HERE)
    await stream.until(AWAY, "lost")
    for _ in range(20):
        before = _result(await stream.send(AWAY))
    await stream.correct("hint", "next")
    said = await stream.send(AWAY)
    hinted = _result(said)
    assert not any(item.get("type") == "event" for item in said if isinstance(item, dict))
    assert (hinted["state"], hinted["search"]) == (State.LOST, "none")
    assert hinted["lost_ms"] == pytest.approx(before["lost_ms"] + FRAME_S * 1e3)
    said = await stream.send(HERE)
    assert _result(said)["search"] != "none"
    await stream.until(HERE, "reacquired")


async def test_one_result_says_that_a_target_is_back_also_where_a_hint_follows() -> None:
    stream = Stream(lost_after_ms=200)
    await stream.send(HERE)
    await stream.until(AWAY, "lost")
    await stream.until(HERE, "reacquired")
    await stream.correct("hint", "next")
    said = await stream.send(HERE)
    assert _result(said)["state"] == State.TRACKING
    assert not any(item.get("type") == "event" for item in said if isinstance(item, dict))


@pytest.mark.parametrize(("lost_after_ms", "frames"), [(200, 5), (2000, 50)])
async def test_the_sessions_threshold_says_when_a_target_is_lost(lost_after_ms: float, frames: int) -> None:
    stream = Stream(lost_after_ms=lost_after_ms)
    await stream.send(HERE)
    await stream.until(AWAY, "lost")
    assert stream.jobs == 1 + frames  # without time stamps each counts 40 ms


async def test_a_patch_changes_what_it_names_and_is_refused_whole_where_the_order_would_break() -> None:
    session = Stream(leave=0.3, enter=0.4).session
    session.change(PatchRequest(thresholds=Thresholds(enter=0.6)))
    assert session.request.thresholds == Thresholds(leave=0.3, enter=0.6)
    with pytest.raises(ChangeRefused, match="leave <= enter") as refused:
        session.change(PatchRequest(thresholds=Thresholds(leave=0.7)))
    assert refused.value.pointer == "/thresholds"
    assert session.request.thresholds == Thresholds(leave=0.3, enter=0.6)
    session.change(PatchRequest.model_validate({"thresholds": None}))
    assert session.request.thresholds is None


@given(SCORES, SCORES, SCORES)
def test_whatever_is_named_the_thresholds_stay_in_order_and_what_is_named_holds(
    leave: float | None, enter: float | None, reacquire: float | None
) -> None:
    try:
        wanted = Thresholds(leave=leave, enter=enter, reacquire=reacquire)
    except ValidationError:
        named = [value for value in (leave, enter, reacquire) if value is not None]
        assert named != sorted(named)
        return
    result = applied(TRACKER.spec.presence, wanted)
    assert isinstance(result, PresenceSpec)  # which checks the order
    for name, value in (("leave", leave), ("enter", enter), ("reacquire", reacquire)):
        assert value is None or getattr(result, name) == value
