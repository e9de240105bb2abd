"""Servers that share a store as one fleet: who has no room names one that has, and who comes to the wrong one is led
to the right one."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import httpx
import lockon_client
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from service.engine.snapshots import VERSION
from service.security.resume import owner_digest
from service.store.port import Lease, LeaseHeld, SessionStore
from service.store.redis import RedisStore
from service.store.sealing import Seal, SealedStore
from tests.drawing import Drawing
from tests.end_to_end.conftest import RunningServer, StartServer, Talk, opened, streaming
from tests.redis_server import RedisServer, redis_or_skip
from tests.waiting import until

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
KEY = "a key for tests, of no other use"
EVERYBODY = owner_digest("")
STORE = {"token_keys": [KEY], "timeout_s": 2}
UNTIL_SAVED = ("no_session", "session_elsewhere")
ADOPTED = 'lockon_resume_total{result="snapshot"}'


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    yield from redis_or_skip()


class Pair(NamedTuple):
    """One server that takes a single session, and one with room; each knows where the other is."""

    small: RunningServer
    large: RunningServer


@pytest.fixture(scope="module")
def pair(redis: RedisServer, start_server: StartServer) -> Pair:
    store = {"url": redis.url, **STORE}
    return Pair(
        start_server({"store": store, "limits": {"max_sessions": 1, "min_fps": 0}}),
        start_server({"store": store, "limits": {"min_fps": 0}}),
    )


@pytest.fixture(autouse=True)
async def acquainted(pair: Pair) -> None:
    """The servers know where they are, and of each other, and nothing is left of the test before."""
    for server in pair:
        server.app.state.registry.address = server.ws
        async with httpx.AsyncClient(base_url=server.http) as http:
            for session in (await http.get("/v1/sessions")).json()["items"]:
                await http.delete(f"/v1/sessions/{session['id']}")
    await _heard(pair.small, pair.large, 64)
    await until(lambda: pair.small.app.state.keeper.up and pair.large.app.state.keeper.up)


async def _heard(ours: RunningServer, other: RunningServer, most: int) -> None:
    """Waits until our server knows how much room the other one has now."""

    def knows() -> bool:
        for server in (other, ours):
            server.app.state.fleet.hurry()
        notices = ours.app.state.fleet._others.values()
        return any(notice.room == min(most, other.app.state.registry.room) for notice in notices)

    await until(knows)


async def test_a_full_server_leads_a_client_to_one_that_has_room(pair: Pair) -> None:
    async with streaming(pair.small, FIRST):
        async with lockon_client.track(pair.small.ws, box=FIRST, every=True) as t:
            (result,) = [result async for result in t.results([DRAWING.jpeg(0)])]
            assert pair.large.app.state.registry.find(t.welcome.session)
            assert result.targets[0].box == pytest.approx(FIRST)
        async with opened(pair.small) as talk:
            refused = await talk.ask_any({"type": "hello", "create": {}})
            assert (refused["code"], refused["stream_url"]) == ("no_capacity", f"{pair.large.ws}/v1/stream")
            assert (await talk.close_code())[0] == 4503


async def test_a_session_that_a_full_server_creates_is_had_by_one_that_has_room(pair: Pair) -> None:
    async with streaming(pair.small, FIRST), httpx.AsyncClient(follow_redirects=True) as http:
        body = {"targets": [{"id": "cup", "box": FIRST}], "label": "door"}
        answer = await http.post(f"{pair.small.http}/v1/sessions", json=body)
        assert answer.status_code == 201, answer.text
        created = answer.json()
        address = f"{pair.large.ws}/v1/sessions/{created['id']}/stream"
        assert created["stream_url"] == address
        async with connect(address) as socket:
            talk = Talk(socket)
            welcome = await talk.ask({"type": "hello"}, "welcome")
            assert (welcome["session"], welcome["epoch"] >= 1) == (created["id"], True)
            assert (await talk.ask(DRAWING.jpeg(0), "result"))["targets"][0]["id"] == "cup"
            # Requests for it are led there as well.
            view = await http.get(f"{pair.small.http}/v1/sessions/{created['id']}")
            assert (view.url.port, view.json()["label"], view.json()["state"]) == (pair.large.port, "door", "live")
            path = f"/v1/sessions/{created['id']}/frames?seq=1"
            moved = await http.post(pair.small.http + path, content=b"x", follow_redirects=False)
            assert (moved.status_code, moved.json()["code"]) == (307, "elsewhere")
            assert moved.headers["Location"] == pair.large.http + path
            assert (await http.delete(f"{pair.small.http}/v1/sessions/{created['id']}")).status_code == 204
            with suppress(ConnectionClosed):
                while True:
                    await talk.hear()
            assert socket.close_code == 4410


async def test_who_comes_to_the_wrong_server_is_led_to_the_one_that_has_the_session(pair: Pair) -> None:
    async with streaming(pair.large, FIRST, detached_ttl_s=60) as talk:
        await talk.ask(DRAWING.jpeg(0), "result")
        session, token = talk.welcome["session"], talk.welcome["resume_token"]
        assert (await _resumed(pair.small, token, "no_session"))["code"] == "session_elsewhere"  # once it is saved
        address = f"{pair.large.ws}/v1/sessions/{session}/stream"
        hello: dict[str, Any] = {"type": "hello", "resume": {"token": token}}
        async with opened(pair.small) as other:
            refused = await other.ask_any(hello)
            assert (refused["code"], refused["stream_url"]) == ("session_elsewhere", f"{pair.large.ws}/v1/stream")
            assert (await other.close_code())[0] == 1013
        async with opened(pair.small, f"/v1/sessions/{session}/stream") as other:
            assert (await other.hear())["stream_url"] == address
        assert (await talk.ask(DRAWING.jpeg(1), "result"))["epoch"] == 1


async def _counted(server: RunningServer) -> float:
    async with httpx.AsyncClient(base_url=server.http) as http:
        lines = (await http.get("/metrics")).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(ADOPTED))


async def _resumed(server: RunningServer, token: str, *passing: str) -> dict[str, Any]:
    """What a socket hears that goes on with that token, as soon as it is none of these."""
    while True:
        async with opened(server) as talk:
            answer = await talk.ask_any({"type": "hello", "resume": {"token": token}})
            if answer.get("code") not in passing:
                return answer


async def test_a_session_whose_lease_is_free_is_adopted_and_counted_as_such(pair: Pair) -> None:
    async with streaming(pair.small, FIRST, detached_ttl_s=60) as talk:
        await talk.ask(DRAWING.jpeg(0), "result")
    before = await _counted(pair.large)
    welcome = await _resumed(pair.large, talk.welcome["resume_token"], *UNTIL_SAVED)
    assert (welcome["session"], welcome["last_seq"]) == (talk.welcome["session"], 1)
    assert await _counted(pair.large) == before + 1


async def test_a_copy_that_another_server_has_taken_without_a_word_answers_nothing(pair: Pair) -> None:
    async with httpx.AsyncClient(follow_redirects=True) as http:
        path = f"/v1/sessions/{(await http.post(f'{pair.small.http}/v1/sessions')).json()['id']}"
        while (await http.get(pair.large.http + path)).status_code == 404:
            pass  # until it is saved
        async with opened(pair.large, f"{path}/stream") as talk:
            await talk.ask({"type": "hello"}, "welcome")
            for _ in range(2):
                view = await http.get(pair.small.http + path)
                assert (view.url.port, view.json()["state"]) == (pair.large.port, "live")


async def test_what_servers_of_a_later_version_saved_is_left_to_servers_that_can_read_it(
    pair: Pair, redis: RedisServer
) -> None:
    async with streaming(pair.large, FIRST, detached_ttl_s=60) as talk:
        await talk.ask(DRAWING.jpeg(0), "result")
    session, token = talk.welcome["session"], talk.welcome["resume_token"]
    later = SealedStore(RedisStore(redis.url, "later", 5.0), Seal([KEY]))
    lease = await _acquired(later, session)
    assert lease.snapshot is not None
    version = struct.pack("<H", VERSION + 1)
    assert await later.save(session, EVERYBODY, lease.epoch, lease.snapshot[:4] + version + lease.snapshot[6:], 0, 60)
    for server in pair:
        assert (await _resumed(server, token))["code"] == "snapshot_version"
    # They do not hold the session up for those who can read it.
    assert await later.acquire(session, EVERYBODY, 0, 10, 60)
    await later.close()


async def _acquired(store: SessionStore, session: str) -> Lease:
    """The session's lease, as soon as it is free."""
    while True:
        with suppress(LeaseHeld):
            lease = await store.acquire(session, EVERYBODY, 0, 10, 60)
            if lease is not None:
                return lease
