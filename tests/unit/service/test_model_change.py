"""A session goes on with another model: its targets are started anew, on the pixels that their boxes are from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from time import perf_counter
from typing import Any

import pytest

from models.package import load_tracker
from models.presence import State
from models.tracker import Tracker
from service.engine.batching import BatchCurve
from service.engine.changing import ChangeRefused
from service.engine.decoding import HostDecoder
from service.engine.models import Models
from service.engine.outbox import Outbox, ResultDraft
from service.engine.registry import Registry
from service.engine.scheduler import Scheduler
from service.engine.session import Session
from service.engine.snapshots import captured, packed, revived, unpacked
from service.protocol.messages import SessionUpdate, TargetUpdate
from service.protocol.requests import CreateRequest, PatchRequest, TargetRequest
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing, jpeg
from tests.end_to_end.conftest import with_header
from tests.waiting import until

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
OTHER = PatchRequest(model="other", reinit=True)


@pytest.fixture
async def registry() -> AsyncIterator[Registry]:
    """Two models, `m` and `other`, which searches in smaller crops."""
    spec = load_tracker("dummy").spec
    narrow = replace(spec, crop=replace(spec.crop, search_size=160))
    trackers = {"m": load_tracker("dummy"), "other": Tracker(narrow, load_tracker("dummy").runtime)}
    metrics = Metrics()
    models = Models(trackers.__getitem__, HostDecoder(), 1, (), metrics)
    for name in trackers:
        (await models.load(name)).curve = BatchCurve({}, 4)
    scheduler = Scheduler(1, asyncio.get_running_loop(), metrics)
    yield Registry(models, LimitSettings(), scheduler, metrics)
    scheduler.stop(1.0)


def following(registry: Registry, *ids: str, **create: Any) -> tuple[Session, Outbox]:
    """A session with targets of these names, all of them the one of the drawing, and its socket's outbox."""
    targets = [TargetRequest(id=name, box=FIRST, label=name.upper()) for name in ids]
    session = registry.create(CreateRequest(model="m", mode="every", targets=targets, **create))
    outbox = Outbox(1000)
    session.attach(outbox, perf_counter())
    return session, outbox


async def shown(session: Session, *files: bytes) -> None:
    """These frames were followed."""
    for file in files:
        session.receive(file, perf_counter())
    await until(lambda: not session.waiting and not session.in_flight)


async def said(outbox: Outbox, kind: str) -> list[Any]:
    """What was said of that type."""
    items = [await outbox.get() for _ in range(len(outbox))]
    return [item for item in items if isinstance(item, dict) and item["type"] == kind]


async def test_targets_go_on_from_the_very_frame_of_their_last_boxes(registry: Registry) -> None:
    session, outbox = following(registry, "a", "b")
    await shown(session, *(DRAWING.jpeg(i) for i in range(4)))
    session.change(OTHER)
    await until(lambda: all(entry.target is not None for entry in session.followed.values()))
    other = registry.models.ready["other"]
    assert session.model is other
    for entry in session.followed.values():
        assert entry.target is not None
        assert entry.target.search_size == 160
        assert entry.target.box.xywh() == pytest.approx(DRAWING.box(3).xywh(), abs=3)
    await shown(session, DRAWING.jpeg(4))
    box = session.followed["a"].target.box.xywh()  # type: ignore[union-attr]
    assert box == pytest.approx(DRAWING.box(4).xywh(), abs=3)
    (event,) = await said(outbox, "event")
    assert event["data"] == {"model": "other", "restarted": ["a", "b"], "removed": []}
    assert session.target_views()[0]["label"] == "A"


async def test_a_lost_target_is_followed_no_more_and_named(registry: Registry) -> None:
    session, outbox = following(registry, "a", "b")
    await shown(session, DRAWING.jpeg(0), DRAWING.jpeg(1))
    session.followed["b"].state = State.LOST
    session.operate(SessionUpdate(type="session.update", op="u", model="other", reinit=True), perf_counter())
    await shown(session, DRAWING.jpeg(2))
    assert [view["id"] for view in session.target_views()] == ["a"]
    messages = [await outbox.get() for _ in range(len(outbox))]
    told = [item for item in messages if isinstance(item, dict) and item["type"] in ("ack", "event")]
    assert [item.get("ok") for item in told if item["type"] == "ack"] == [True]
    assert [item["data"]["removed"] for item in told if item["type"] == "event"] == [["b"]]


async def test_a_job_that_is_out_comes_back_to_the_model_that_it_was_for(registry: Registry) -> None:
    session, _ = following(registry, "a")
    await shown(session, DRAWING.jpeg(0))
    for index in range(1, 7):
        session.receive(DRAWING.jpeg(index), perf_counter())
    assert session.in_flight
    session.change(OTHER)
    assert session.model.id == "m"
    assert [model.id for model in session.models] == ["m", "other"]
    await until(lambda: not session.waiting and not session.in_flight)
    assert session.model.id == "other"
    assert session.counters.processed == 7
    assert session.followed["a"].target.box.xywh() == pytest.approx(DRAWING.box(6).xywh(), abs=3)  # type: ignore[union-attr]


async def test_who_waits_its_turn_with_the_old_model_gets_it_with_the_new_one(registry: Registry) -> None:
    sessions = [following(registry, "a")[0] for _ in range(6)]
    for session in sessions:
        await shown(session, DRAWING.jpeg(0))
    for session in sessions:
        session.receive(DRAWING.jpeg(1), perf_counter())
    for session in sessions[1:]:
        session.change(OTHER)
    await until(lambda: not any(session.waiting or session.in_flight for session in sessions))
    assert [session.model.id for session in sessions] == ["m", *["other"] * 5]
    assert [session.counters.processed for session in sessions] == [2] * 6
    assert all(entry.target is not None for session in sessions for entry in session.followed.values())


async def test_where_only_a_window_came_the_next_whole_frame_is_waited_for(registry: Registry) -> None:
    session, outbox = following(registry, "a")
    await shown(session, DRAWING.jpeg(0))
    image, size = jpeg(DRAWING.frame(1)[:200, :200]), (DRAWING.width, DRAWING.height)
    windows = [with_header(image, seq, kind=1, size=size, window=(0, 0, 200, 200)) for seq in (2, 3)]
    await shown(session, windows[0])
    session.change(OTHER)
    assert session.followed["a"].target is None
    saved = unpacked(packed(captured(session, perf_counter())))
    assert [(target.id, target.label) for target in saved.restarts] == [("a", "A")]
    assert revived(saved, session.model.tracker) == []
    await shown(session, windows[1])
    results = [item for item in [await outbox.get() for _ in range(len(outbox))] if isinstance(item, ResultDraft)]
    assert results[-1].targets == []
    assert results[-1].next is not None
    assert results[-1].next["full"] is True
    await shown(session, with_header(DRAWING.jpeg(2), 4))
    assert session.followed["a"].target is not None
    adopted = registry.adopt(replace(saved, id="ses_2"), 7, [])
    assert [view["id"] for view in adopted.target_views()] == ["a"]


async def test_a_correction_that_waits_comes_after_the_new_start(registry: Registry) -> None:
    session, outbox = following(registry, "a")
    await shown(session, DRAWING.jpeg(0))
    box = list(DRAWING.box(1).xywh())
    session.operate(TargetUpdate(type="target.update", op="t", id="a", box=box, mode="hint"), perf_counter())
    session.change(OTHER)
    await shown(session, DRAWING.jpeg(1), DRAWING.jpeg(2))
    assert [ack["ok"] for ack in await said(outbox, "ack")] == [True]
    assert session.followed["a"].target.box.xywh() == pytest.approx(DRAWING.box(2).xywh(), abs=3)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("patch", "code", "pointer"),
    [
        pytest.param({"model": "other"}, "not_allowed", "/model", id="without reinit"),
        pytest.param({"reinit": True}, "not_allowed", "/reinit", id="without a model"),
        pytest.param({"model": "none", "reinit": True, "label": "x"}, "unknown_model", "/model", id="not loaded"),
    ],
)
async def test_what_cannot_be_changes_nothing(
    registry: Registry, patch: dict[str, Any], code: str, pointer: str
) -> None:
    session, outbox = following(registry, "a")
    await shown(session, DRAWING.jpeg(0))
    before, target = session.request, session.followed["a"].target
    with pytest.raises(ChangeRefused) as refused:
        session.change(PatchRequest(**patch))
    assert (refused.value.code, refused.value.pointer) == (code, pointer)
    session.operate(SessionUpdate(type="session.update", op="u", **patch), perf_counter())
    (ack,) = await said(outbox, "ack")
    assert (ack["ok"], ack["code"], ack["pointer"]) == (False, code, pointer)
    assert session.request is before
    assert session.followed["a"].target is target


async def test_the_same_model_again_disturbs_nothing(registry: Registry) -> None:
    session, outbox = following(registry, "a")
    await shown(session, DRAWING.jpeg(0))
    target = session.followed["a"].target
    session.change(PatchRequest(model="m", reinit=True))
    assert session.followed["a"].target is target
    assert await said(outbox, "event") == []


async def test_a_slower_model_needs_room(registry: Registry) -> None:
    session, outbox = following(registry, "a")
    neighbour, _ = following(registry)
    for _ in range(8):
        neighbour.costs.add(0.001)
        session.costs.add(0.001)
        registry.models.ready["other"].costs.add(10.0)
    session.operate(SessionUpdate(type="session.update", op="u", model="other", reinit=True), perf_counter())
    (ack,) = await said(outbox, "ack")
    assert (ack["code"], ack["pointer"]) == ("no_capacity", "/model")
    assert session.model.id == "m"
