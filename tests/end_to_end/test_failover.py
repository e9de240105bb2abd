"""Two servers with one store: sessions go from one to the other, when it stops, dies, hangs, or the store is away."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

import httpx
import lockon_client
import pytest
from lockon_client import LineEvent, Result, Resumed
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.protocol.header import read_frame
from service.security.resume import ResumeTokens
from tests.drawing import Drawing, jpeg
from tests.end_to_end.conftest import RunningServer, StartServer, Talk, opened, streaming
from tests.end_to_end.forwarding import Forwarder
from tests.end_to_end.processes import ServerProcess
from tests.redis_server import RedisServer, redis_or_skip
from tests.waiting import until

DRAWING = Drawing()
FRAMES = [jpeg(DRAWING.frame(index)) for index in range(30)]
FIRST = DRAWING.box(0).xywh()
KEY = "a key for tests, of no other use"

SETTINGS = {"token_keys": [KEY], "timeout_s": 2, "lease_s": 0.8}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    yield from redis_or_skip()


class Servers(NamedTuple):
    """With one store: one that is stopped, and one that is killed, each by a test; and one that stays, in here."""

    stopped: ServerProcess
    killed: ServerProcess
    stays: RunningServer


@pytest.fixture(scope="module")
def servers(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory, start_server: StartServer
) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("logs")
    store = {f"store__{name}": json.dumps(value) for name, value in SETTINGS.items()}
    pair = [ServerProcess(folder / f"{i}.log", store__url=redis.url, limits__drain_s=2, **store) for i in range(2)]
    stays = start_server({"store": {"url": redis.url, **SETTINGS}})
    yield Servers(pair[0].ready(), pair[1].ready(), stays)
    for server in pair:
        server.end()


def _offline() -> list[tuple[float, ...]]:
    tracker = load_tracker("dummy")
    pictures = [HostDecoder().decode(read_frame(frame, -1, 10**7, 0.0)) for frame in FRAMES]
    target = tracker.start(pictures[0], DRAWING.box(0))
    return [FIRST, *(tracker.follow(target, picture).box.xywh() for picture in pictures[1:])]


async def _saved(server: ServerProcess) -> None:
    """Waits until a snapshot was written that is no older than this moment."""
    async with httpx.AsyncClient(base_url=server.http) as http:
        before = await _saves(http)
        while await _saves(http) < before + 1:
            pass


async def _saves(http: httpx.AsyncClient) -> float:
    lines = (await http.get("/metrics")).text.splitlines()
    found = [line for line in lines if line.startswith('lockon_store_op_seconds_count{op="save"}')]
    return float(found[0].rsplit(" ", 1)[1]) if found else 0.0


@asynccontextmanager
async def _taken_over(server: RunningServer, hello: dict[str, Any]) -> AsyncIterator[Talk]:
    """A socket that goes on with a session as soon as its lease has run out."""
    while True:
        async with connect(f"{server.ws}/v1/stream") as socket:
            talk = Talk(socket)
            talk.welcome = await talk.ask_any(hello)
            if talk.welcome["type"] == "welcome":
                yield talk
                return
            assert talk.welcome["code"] == "session_elsewhere"
            assert (await talk.close_code())[0] == 1013


async def test_a_server_that_hangs_and_wakes_up_ends_the_sessions_that_another_one_has(servers: Servers) -> None:
    first, second = servers.stopped, servers.stays
    async with connect(f"{first.ws}/v1/stream") as socket:
        old = Talk(socket)
        create = {"targets": [{"id": "cup", "box": FIRST}], "detached_ttl_s": 60}
        welcome = await old.ask({"type": "hello", "create": create}, "welcome")
        await old.ask(FRAMES[0], "result")
        await _saved(first)
        first.pause()
        hello = {"type": "hello", "resume": {"token": welcome["resume_token"], "last_seq": 1, "epoch": 1}}
        async with _taken_over(second, hello) as new:
            assert (new.welcome["session"], new.welcome["epoch"]) == (welcome["session"], 2)
            assert (await new.ask(FRAMES[1], "result"))["epoch"] == 2
            for frame in FRAMES[2:8]:
                await old.say(frame)
            first.go_on()
            # Those frames have waited for it to wake up. Their results would be of an epoch that is over.
            heard = await old.hear()
            while heard["type"] in ("credit", "event"):
                heard = await old.hear()
            assert (heard["type"], heard["reason"]) == ("goaway", "superseded")
            assert (await old.close_code())[0] == 4409
            assert (await new.ask(FRAMES[2], "result"))["targets"][0]["state"] == "tracking"


async def _follow(server: ServerProcess) -> asyncio.Task[tuple[str, bool, int | None]]:
    """A client that goes on sending whatever it hears: the reason of its goaway, whether that had a token, and how its
    socket was closed."""
    greeted = asyncio.Event()

    async def follow() -> tuple[str, bool, int | None]:
        async with connect(f"{server.ws}/v1/stream") as socket:
            talk = Talk(socket)
            create = {"targets": [{"box": FIRST}], "detached_ttl_s": 60}
            await talk.ask({"type": "hello", "create": create}, "welcome")
            greeted.set()
            told: dict[str, Any] = {}
            with suppress(ConnectionClosed):
                while True:
                    answer = await talk.ask_any(FRAMES[0])
                    told = answer if answer["type"] == "goaway" else told
            return told["reason"], told["resume_token"] is not None, socket.close_code

    task = asyncio.create_task(follow())
    await greeted.wait()
    return task


async def test_a_server_that_is_told_to_stop_hands_its_streams_over_without_a_gap(servers: Servers) -> None:
    first, second = servers.stopped, servers.stays
    others = [await _follow(first) for _ in range(10)]
    events: list[LineEvent] = []
    results: list[Result] = []
    async with (
        httpx.AsyncClient(base_url=first.http) as http,
        Forwarder(first.port).running() as line,
        lockon_client.track(line.ws, box=FIRST, every=True, on_event=events.append) as t,
    ):
        session = t.welcome.session
        async for result in t.results(FRAMES):
            results.append(result)
            if result.seq == 5:
                assert (await http.get("/readyz")).json()["store"] == "up"
                first.terminate()
                line.target = second.port
                while (answer := await http.get("/readyz")).status_code == 200:
                    pass
                assert (answer.status_code, answer.json()["status"]) == (503, "draining")
                assert (await http.post("/v1/sessions")).json()["code"] == "draining"
            if len(events) < 2:
                await asyncio.sleep(0.1)  # a slow camera: frames are still to come when the time has come to leave
        assert t.welcome.session == session
    assert isinstance(events[1], Resumed)
    assert [result.seq for result in results] == list(range(1, len(FRAMES) + 1))
    assert {result.epoch for result in results} == {1, 2}
    for result, box in zip(results, _offline(), strict=True):
        assert result.targets[0].box == pytest.approx(box, abs=1e-4)
    # Whoever stays is told, served until the end, and then closed; nobody's line just breaks.
    assert [await other for other in others] == [("draining", True, 1012)] * len(others)
    assert await asyncio.to_thread(first.wait) == -15


async def test_a_server_that_dies_is_replaced_by_the_other_with_the_same_session(servers: Servers) -> None:
    first, second = servers.killed, servers.stays
    events: list[LineEvent] = []
    results: list[Result] = []
    async with (
        Forwarder(first.port).running() as line,
        lockon_client.track(line.ws, targets={"cup": FIRST}, every=True, on_event=events.append) as t,
    ):
        async for result in t.results(FRAMES):
            results.append(result)
            if result.seq == 10:
                line.target = second.port
                await _saved(first)
                first.kill()
                line.cut()
    assert isinstance(events[-1], Resumed)
    assert [result.seq for result in results] == list(range(1, len(FRAMES) + 1))
    assert {result.targets[0].id for result in results} == {"cup"}
    assert results[-1].targets[0].box == pytest.approx(_offline()[-1], abs=1.0)


async def _resumed(server: RunningServer, token: str) -> dict[str, Any]:
    """What a socket hears that wants to go on with that token."""
    async with opened(server) as talk:
        return await talk.ask_any({"type": "hello", "resume": {"token": token}})


async def test_another_owners_session_is_not_taken_over(
    redis: RedisServer, servers: Servers, start_server: StartServer
) -> None:
    other = servers.stays
    ours = start_server({"store": {"url": redis.url, **SETTINGS}})
    await until(lambda: ours.app.state.keeper.up and other.app.state.keeper.up)
    async with streaming(ours, list(FIRST), detached_ttl_s=60) as talk:
        await talk.ask(FRAMES[0], "result")
        session = ours.app.state.registry.find(talk.welcome["session"])
        session.owner = "somebody else"
    await until(lambda: session.outbox is None)
    token = ResumeTokens([KEY]).issue(session.id, "", 1, 60, time.time())
    while (answer := await _resumed(other, token))["code"] == "session_elsewhere":
        pass
    assert answer["code"] == "no_session"


async def test_streams_go_on_while_the_store_is_away_and_are_told(
    redis: RedisServer, start_server: StartServer
) -> None:
    settings = {"store": {"url": redis.url, **SETTINGS, "timeout_s": 0.3}}
    ours, other = start_server(settings), start_server(settings)
    await until(lambda: ours.app.state.keeper.up and other.app.state.keeper.up)
    async with streaming(ours, list(FIRST), detached_ttl_s=60) as talk:
        await talk.ask(FRAMES[0], "result")
        redis.freeze()
        try:
            assert (await talk.hear_of("warning"))["code"] == "store_degraded"
            for frame in FRAMES[1:6]:
                assert (await talk.ask(frame, "result"))["targets"][0]["state"] == "tracking"
            await until(lambda: not other.app.state.keeper.up)
            refused = await _resumed(other, talk.welcome["resume_token"])
            assert (refused["code"], refused["fatal"]) == ("store_unavailable", True)
            async with httpx.AsyncClient(base_url=ours.http) as http:
                assert "lockon_store_up 0.0" in (await http.get("/metrics")).text
                ready = await http.get("/readyz")
                assert (ready.status_code, ready.json()["store"]) == (200, "degraded")
            # On the server that has it, the session can be resumed all the same.
            async with opened(ours) as again:
                hello = {"type": "hello", "resume": {"token": talk.welcome["resume_token"]}}
                welcome = await again.ask(hello, "welcome")
                assert (await again.ask(FRAMES[6], "result"))["epoch"] == 2
        finally:
            redis.thaw()
    await until(lambda: ours.app.state.keeper.up and other.app.state.keeper.up)
    session = ours.app.state.registry.find(welcome["session"])
    await until(lambda: session.outbox is None)
    redis.stop()  # whatever it held is gone; the servers write it anew
    redis.start()
    answer = await _resumed(other, welcome["resume_token"])
    while answer["type"] != "welcome":
        answer = await _resumed(other, welcome["resume_token"])
    assert (answer["session"], answer["resumed"]) == (session.id, True)
