"""The Python client when its line breaks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import lockon_client
import pytest
from lockon_client import Interrupted, LineEvent, Result, Resumed

from tests.drawing import Drawing, jpeg
from tests.end_to_end.conftest import RunningServer
from tests.end_to_end.forwarding import Forwarder, recording_through_a_line

DRAWING = Drawing()
FRAMES = [jpeg(DRAWING.frame(index)) for index in range(30)]
FIRST = DRAWING.box(0).xywh()


async def test_a_recording_goes_through_broken_lines_with_every_result_once_and_the_same_boxes(
    server: RunningServer,
) -> None:
    async with lockon_client.track(server.ws, box=FIRST, every=True) as t:
        whole = [result async for result in t.results(FRAMES)]
    events: list[LineEvent] = []
    results: list[Result] = []
    async with recording_through_a_line(server.port, FIRST, events) as (line, t):
        async for result in t.results(FRAMES):
            results.append(result)
            if result.seq in (5, 17):
                line.cut()
    assert [result.seq for result in results] == list(range(1, len(FRAMES) + 1))
    assert [result.targets[0].box for result in results] == [result.targets[0].box for result in whole]
    assert [type(event) for event in events] == [Interrupted, Resumed] * 2
    resumed = events[-1]
    assert isinstance(resumed, Resumed)
    assert resumed.epoch == t.welcome.epoch == results[-1].epoch >= 3


async def test_a_live_stream_and_its_operations_go_on(server: RunningServer) -> None:
    found: set[str] = set()

    async def camera() -> AsyncIterator[bytes]:
        while "two" not in found:
            for frame in FRAMES:
                yield frame
                await asyncio.sleep(0.002)

    async with Forwarder(server.port).running() as line, lockon_client.track(line.ws, targets={"one": FIRST}) as t:
        adding: asyncio.Task[lockon_client.Ack] | None = None
        async for result in t.results(camera()):
            found |= {target.id for target in result.targets}
            if adding is None:
                line.cut()
                adding = asyncio.create_task(t.add(FIRST, id="two"))
        assert adding is not None
        assert (await adding).ok
    assert found == {"one", "two"}


async def test_a_line_that_hangs_is_noticed_and_replaced(
    server: RunningServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lockon_client.link.PROBE_S", 0.1)
    monkeypatch.setattr("lockon_client.retrying.FIRST_DELAY_S", 0.01)
    events: list[LineEvent] = []
    async with recording_through_a_line(server.port, FIRST, events) as (line, t):
        results = []
        async for result in t.results(FRAMES):
            results.append(result.seq)
            if result.seq == 5:
                line.hold()
    assert results == list(range(1, len(FRAMES) + 1))
    assert isinstance(events[-1], Resumed)


async def test_a_session_that_is_gone_is_told_with_the_reason_for_both(server: RunningServer) -> None:
    async with (
        Forwarder(server.port).running() as line,
        httpx.AsyncClient(base_url=server.http) as http,
        lockon_client.track(line.ws, box=FIRST, every=True) as t,
    ):
        results = t.results(FRAMES)
        await anext(results)
        line.cut()
        await http.delete(f"/v1/sessions/{t.welcome.session}")
        with pytest.raises(lockon_client.StreamClosed, match=r"connection broke.*could not be resumed.*closed"):
            [result async for result in results]


async def test_with_no_time_to_resume_a_broken_line_is_the_end(server: RunningServer) -> None:
    async with (
        Forwarder(server.port).running() as line,
        lockon_client.track(line.ws, box=FIRST, every=True, resume_s=0) as t,
    ):
        results = t.results(FRAMES)
        await anext(results)
        line.cut()
        with pytest.raises(lockon_client.StreamClosed, match="broke"):
            [result async for result in results]
