"""No server has the session any more: a new one takes its place, where its client says what from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import lockon_client
import pytest
from lockon_client import Event, Interrupted, LineEvent, Result, StateLost, Thresholds

from tests.drawing import Drawing, jpeg
from tests.end_to_end.conftest import RunningServer, StartServer, opened, streaming
from tests.end_to_end.forwarding import Forwarder, recording_through_a_line
from tests.waiting import until

DRAWING = Drawing()
FRAMES = [jpeg(DRAWING.frame(index)) for index in range(24)]
FIRST = DRAWING.box(0).xywh()


@pytest.fixture(scope="module")
def other(start_server: StartServer) -> RunningServer:
    """A server that shares nothing with the first one."""
    return start_server()


async def test_a_hello_with_both_makes_a_session_only_where_there_is_none(
    server: RunningServer, other: RunningServer
) -> None:
    async with streaming(server, list(FIRST), detached_ttl_s=60) as talk:
        token, old = talk.welcome["resume_token"], talk.welcome["session"]
        await talk.say({"type": "bye", "keep": True})
        await talk.close_code()
    create = {"targets": [{"id": "cup", "box": list(FIRST)}]}
    hello: dict[str, Any] = {"type": "hello", "resume": {"token": token}, "create": create}
    async with opened(other) as talk:
        welcome = await talk.ask(hello, "welcome")
        assert (welcome["resumed"], welcome["epoch"], welcome["last_seq"]) == (False, 1, None)
        assert welcome["session"] != old
        assert (await talk.hear())["data"] == {"reason": "bad_token"}
        assert (await talk.ask(FRAMES[0], "result"))["targets"][0]["id"] == "cup"
    # It ends with its socket, as its create says nothing else.
    await until(lambda: len(other.app.state.registry) == 0)
    async with opened(server) as talk:
        welcome = await talk.ask(hello, "welcome")
        assert (welcome["resumed"], welcome["session"]) == (True, old)
        assert [target["id"] for target in welcome["targets"]] == ["t0"]
        await talk.say({"type": "bye"})
        await talk.close_code()
    async with opened(server) as talk:  # whoever has ended it does not want it back
        assert (await talk.ask(hello, "error"))["code"] == "gone"


async def test_a_recording_goes_on_at_another_server_with_every_result_and_the_same_names(
    server: RunningServer, other: RunningServer
) -> None:
    events: list[LineEvent] = []
    results: list[Result] = []
    async with recording_through_a_line(server.port, FIRST, events) as (line, t):
        async for result in t.results(FRAMES):
            results.append(result)
            if result.seq == 9:
                await t.change(label="door", thresholds=Thresholds(lost_after_ms=700))
                line.target = other.port
                line.cut()
        session = other.app.state.registry.find(t.welcome.session)
        assert (session.request.label, session.request.thresholds.lost_after_ms) == ("door", 700)
    assert [result.seq for result in results] == list(range(1, len(FRAMES) + 1))
    assert len({target.id for result in results for target in result.targets}) == 1
    for index, result in enumerate(results):
        assert result.targets[0].box == pytest.approx(DRAWING.box(index).xywh(), abs=8)
    assert [type(event) for event in events] == [Interrupted, StateLost, Event]
    lost = events[1]
    assert isinstance(lost, StateLost)
    assert (lost.session, lost.restarted, lost.missing) == (t.welcome.session, (results[0].targets[0].id,), ())


async def test_a_live_stream_goes_on_from_boxes_that_are_fresh(
    server: RunningServer, other: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockon_client.retrying.FIRST_DELAY_S", 0.01)
    events: list[LineEvent] = []
    after = 0

    async def camera() -> AsyncIterator[bytes]:
        while after < 3:
            yield FRAMES[0]
            await asyncio.sleep(0.005)

    async with (
        Forwarder(server.port).running() as line,
        lockon_client.track(line.ws, targets={"cup": FIRST}, on_event=events.append) as t,
    ):
        async for result in t.results(camera()):
            if line.target == server.port:
                line.target = other.port
                line.cut()
            after += any(isinstance(event, StateLost) for event in events)
            assert result.targets[0].id == "cup"
            assert result.targets[0].box == pytest.approx(FIRST, abs=1)
    assert [event.restarted for event in events if isinstance(event, StateLost)] == [("cup",)]


@pytest.mark.parametrize("wanted", [True, False])
async def test_without_fresh_boxes_or_where_nobody_wants_it_a_lost_session_is_the_end(
    server: RunningServer, other: RunningServer, monkeypatch: pytest.MonkeyPatch, *, wanted: bool
) -> None:
    monkeypatch.setattr("lockon_client.reviving.FRESH_S", 0.0)
    monkeypatch.setattr("lockon_client.retrying.LONGEST_DELAY_S", 0.1)
    async with (
        Forwarder(server.port).running() as line,
        lockon_client.track(line.ws, box=FIRST, every=not wanted, reinit_on_loss=wanted, resume_s=1) as t,
    ):
        results = t.results(FRAMES)
        await anext(results)
        line.target = other.port
        line.cut()
        with pytest.raises(lockon_client.StreamClosed, match=r"could not be resumed.*resume token"):
            [result async for result in results]


async def test_a_recording_outlives_a_server_that_stops_and_saves_nothing(
    start_server: StartServer, other: RunningServer
) -> None:
    stopping = start_server()
    events: list[LineEvent] = []
    seqs: list[int] = []
    async with recording_through_a_line(stopping.port, FIRST, events) as (line, t):
        async for result in t.results(FRAMES):
            seqs.append(result.seq)
            if result.seq == 9:
                line.target = other.port
                await asyncio.to_thread(stopping.stop)
    assert seqs == list(range(1, len(FRAMES) + 1))
    assert [type(event) for event in events] == [Interrupted, StateLost, Event]
