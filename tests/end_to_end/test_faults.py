"""Faults of ours and unlucky moments: each is seen, told, and kept to the session that it happened in."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any

import httpx
import pytest

from models.package import load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.tracker import Tracker
from service.protocol.header import Reason
from service.telemetry.tally import ModelTally
from tests.drawing import Drawing
from tests.end_to_end.conftest import TIMEOUT_S, RunningServer, StartServer, opened, streaming
from tests.end_to_end.gated import GatedRuntime
from tests.waiting import until

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())


class Panic(BaseException):
    """What a library's panic looks like: no Exception."""


class MoodyRuntime(GatedRuntime):
    """Panics in a search where the test says so."""

    panics = False

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        if self.panics:
            raise Panic
        return super().search(features, crops, size, loop)


def _moody(start_server: StartServer) -> tuple[RunningServer, MoodyRuntime]:
    runtime, spec = MoodyRuntime(), load_tracker("dummy").spec
    return start_server({"engine": {"workers": 2}}, lambda _name: Tracker(spec, runtime)), runtime


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_worker_that_dies_is_told_by_livez_and_its_session_gets_an_error(start_server: StartServer) -> None:
    server, runtime = _moody(start_server)
    async with httpx.AsyncClient(base_url=server.http) as http, streaming(server, FIRST) as talk:
        assert (await http.get("/livez")).status_code == 200
        await talk.ask(DRAWING.jpeg(0), "result")
        runtime.panics = True
        assert (await talk.ask(DRAWING.jpeg(1), "error"))["code"] == "internal"
        runtime.panics = False
        async with asyncio.timeout(TIMEOUT_S):
            while (answer := await http.get("/livez")).status_code == 200:
                pass
        assert (answer.status_code, answer.json()["status"]) == (503, "worker_died")
        assert (await talk.ask(DRAWING.jpeg(2), "result"))["targets"][0]["state"] == "tracking"  # the other worker's


async def test_a_task_of_the_server_that_dies_is_told_by_livez(start_server: StartServer) -> None:
    server = start_server()

    def fail(_now_s: float) -> None:
        raise RuntimeError("a fault of ours")

    async with httpx.AsyncClient(base_url=server.http) as http, streaming(server, FIRST) as talk:
        assert (await http.get("/livez")).status_code == 200
        server.app.state.registry.sweep = fail
        async with asyncio.timeout(TIMEOUT_S):
            while (answer := await http.get("/livez")).status_code == 200:
                pass
        assert (answer.status_code, answer.json()["status"]) == (503, "task_died")
        assert (await talk.ask(DRAWING.jpeg(0), "result"))["seq"] == 1  # until it is restarted


async def test_stopping_does_not_wait_for_a_batch_that_hangs(start_server: StartServer) -> None:
    server, runtime = _moody(start_server)
    async with streaming(server, FIRST) as talk:
        await talk.ask(DRAWING.jpeg(0), "result")
        runtime.gate.clear()
        runtime.entered.clear()
        await talk.say(DRAWING.jpeg(1))
        assert await asyncio.to_thread(runtime.entered.wait, TIMEOUT_S)
        began = monotonic()
        await asyncio.to_thread(server.stop)
        assert monotonic() - began < 5
        assert (await talk.close_code())[0] == 1012
    runtime.gate.set()


class FaultyTally(ModelTally):
    """Obeys the port, but fails on whatever is rejected: a fault while a message is taken."""

    def rejected(self, reason: Reason) -> None:
        raise RuntimeError("a fault of ours")


async def test_a_fault_while_a_message_is_taken_closes_its_own_session_with_1011(start_server: StartServer) -> None:
    server = start_server()
    registry: Any = server.app.state.registry
    async with streaming(server, FIRST) as neighbour:
        registry.models.ready["dummy"].tally = FaultyTally(registry.metrics, "dummy")
        async with streaming(server, FIRST) as talk:
            error = await talk.ask(b"not an image", "error")
            assert (error["code"], error["fatal"]) == ("internal", True)
            assert (await talk.close_code())[0] == 1011
        assert (await neighbour.ask(DRAWING.jpeg(0), "result"))["seq"] == 1
        await until(lambda: len(registry) == 1)


async def test_a_message_that_cannot_be_sent_closes_its_own_session_with_1011(server: RunningServer) -> None:
    async with streaming(server, FIRST) as neighbour, streaming(server, FIRST) as talk:
        session = server.app.state.registry.find(talk.welcome["session"])
        line = server.connections()[0]
        line.loop.call_soon_threadsafe(session.answers.say, {"type": "warning", "code": object()})
        error = await talk.hear_of("error")
        assert (error["code"], error["fatal"]) == ("internal", True)
        assert (await talk.close_code())[0] == 1011
        assert (await neighbour.ask(DRAWING.jpeg(0), "result"))["seq"] == 1


async def test_a_session_deleted_before_its_sockets_first_message_is_gone(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    view = (await http.post("/v1/sessions", json={})).json()
    async with opened(server, view["stream_url"]) as talk:
        await http.delete(f"/v1/sessions/{view['id']}")
        error = await talk.ask(DRAWING.jpeg(0), "error")
        assert (error["code"], error["fatal"]) == ("gone", True)
        assert (await talk.close_code())[0] == 4410


async def test_whoever_reads_the_close_may_attach_again_at_once(server: RunningServer, http: httpx.AsyncClient) -> None:
    view = (await http.post("/v1/sessions", json={})).json()
    for epoch in range(1, 30):
        async with opened(server, view["stream_url"]) as talk:
            assert (await talk.ask({"type": "hello"}, "welcome"))["epoch"] == epoch
            await talk.say({"type": "bye", "keep": True})
            assert (await talk.close_code())[0] == 1000


async def test_a_first_message_that_only_mentions_a_hello_is_none(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    view = (await http.post("/v1/sessions", json={})).json()
    async with opened(server, view["stream_url"]) as talk:
        add = {"type": "target.add", "op": "1", "id": "a", "label": "hello", "box": FIRST}
        await talk.say(add)
        await talk.say(DRAWING.jpeg(0))
        assert (await talk.hear_of("ack"))["ok"]


async def test_a_refused_handshake_is_no_failure_of_ours(
    server: RunningServer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Exception, match="404"):
        async with opened(server, "/v1/sessions/ses_unknown/stream"):
            pass
    async with streaming(server):  # the server has come round to logging
        pass
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
