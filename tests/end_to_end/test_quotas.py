"""What one key may use, and what a server can carry: sessions, frames and bytes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from service.engine.admission import LEAST_FRAMES
from service.engine.session import Session
from tests.drawing import Drawing
from tests.end_to_end.conftest import MUST, StartServer, Talk, opened, streaming, with_header
from tests.end_to_end.guarding import KeyFile, bearer, refused, rest
from tests.waiting import until

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
GOOD = DRAWING.jpeg(0)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    """The file of keys that the servers of this module share."""
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys.toml")


async def test_sessions_beyond_the_quota_are_refused_and_others_are_not(
    start_server: StartServer, keys: KeyFile
) -> None:
    guarded = start_server({"auth": {"keys": keys.path}, "quotas": {"sessions": 3}})
    greedy = keys.new("greedy")
    async with rest(guarded, greedy) as http, rest(guarded, keys.new("modest")) as other:
        answers = [await http.post("/v1/sessions") for _ in range(4)]
        assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
        refusal = answers[-1]
        wait_s = int(refusal.headers["retry-after"])
        assert (refusal.json()["code"], refusal.json()["retry_after_ms"]) == ("rate-limited", wait_s * 1000)
        assert refusal.headers["ratelimit-policy"] == '"sessions";q=3'
        assert refusal.headers["ratelimit"] == f'"sessions";r=0;t={wait_s}'
        assert (await refused(guarded, additional_headers=bearer(greedy))).status_code == 429
        assert (await other.post("/v1/sessions")).status_code == 201
        await http.delete(answers[0].headers["location"])
        assert (await http.post("/v1/sessions")).status_code == 201


@asynccontextmanager
async def _limited(
    start_server: StartServer, keys: KeyFile, client: str, **quotas: float
) -> AsyncIterator[tuple[Talk, Session]]:
    """A stream with a target on a server with these quotas; the session's counters add up in the end."""
    server = start_server({"auth": {"keys": keys.path}, "quotas": quotas})
    async with connect(server.ws + "/v1/stream", additional_headers=bearer(keys.new(client))) as socket:
        talk = Talk(socket)
        create = {"targets": [{"box": FIRST}], "detached_ttl_s": 60}
        welcome = await talk.ask({"type": "hello", "create": create}, "welcome")
        session: Session = server.app.state.registry.find(welcome["session"])
        yield talk, session
    counters = session.counters
    await until(lambda: session.state == "detached" and not session.waiting)
    assert counters.received == counters.processed + counters.dropped + counters.rejected


async def test_frames_beyond_the_quota_are_dropped_counted_and_told(start_server: StartServer, keys: KeyFile) -> None:
    async with _limited(start_server, keys, "fast", frames_per_s=2) as (talk, session):
        for seq in range(1, 15):
            await talk.say(with_header(GOOD, seq))
        warning = await talk.hear_of("warning")
        assert (warning["code"], warning["data"]["reason"]) == ("degraded_rate", "quota")
        first = warning["data"]["seq"]
        assert first > 4, "a burst of two seconds is free"
        await until(lambda: session.counters.received == 14 and not session.waiting)
        dropped = session.counters.view()["dropped_quota"]
        assert 1 <= dropped <= 15 - first
        assert session.held_bytes <= (14 - dropped) * len(GOOD), "a frame beyond the quota is kept nowhere"


async def test_must_process_frames_beyond_the_quota_are_refused_one_by_one(
    start_server: StartServer, keys: KeyFile
) -> None:
    async with _limited(start_server, keys, "thorough", frames_per_s=2) as (talk, session):
        for seq in range(1, 15):
            await talk.say(with_header(GOOD, seq, flags=MUST))
        answers: list[dict[str, Any]] = []
        while len(answers) < 14:
            message = await talk.hear()
            answers += [message] if message["type"] in ("result", "error") else []
        refused = [message["seq"] for message in answers if message["type"] == "error"]
        assert {message["code"] for message in answers if message["type"] == "error"} == {"rate_limited"}
        assert sorted(message["seq"] for message in answers) == list(range(1, 15))
        assert session.counters.view()["dropped_quota"] == len(refused) >= 1


@pytest.mark.parametrize(
    ("quotas", "code"), [({"frames_per_s": 0.5}, 4429), ({"bytes_per_s": len(GOOD) / 10}, 4413)], ids=str
)
async def test_a_flood_ends_the_socket(
    start_server: StartServer, keys: KeyFile, quotas: dict[str, float], code: int
) -> None:
    async with _limited(start_server, keys, f"flood-{code}", **quotas) as (talk, _):
        with contextlib.suppress(ConnectionClosed):
            for _ in range(30):
                await talk.say(GOOD)
        assert (await talk.close_code())[0] == code


async def test_a_session_is_refused_where_the_others_promised_rate_would_not_hold(start_server: StartServer) -> None:
    # No machine carries so many frames a second of even this model.
    server = start_server({"limits": {"min_fps": 1e6}})
    async with streaming(server, FIRST) as talk, httpx.AsyncClient(base_url=server.http) as http:
        async with opened(server):
            pass  # nothing is known of costs yet
        for index in range(LEAST_FRAMES + 1):
            await talk.ask(DRAWING.jpeg(index), "result")
        answer = await http.post("/v1/sessions")
        assert (answer.status_code, answer.json()["code"]) == (503, "no-capacity")
        assert 5 <= int(answer.headers["retry-after"]) <= 30
        assert (await refused(server)).status_code == 503
        metrics = (await http.get("/metrics")).text
        assert 'lockon_admission_total{reason="capacity",result="refused"} 2.0' in metrics
    await until(lambda: len(server.app.state.registry) == 0)
    async with streaming(server, FIRST):
        pass  # alone on the server it is taken, however slow


async def test_a_promise_of_nothing_switches_that_off(start_server: StartServer) -> None:
    server = start_server({"limits": {"min_fps": 0}})
    async with streaming(server, FIRST) as talk:
        for index in range(LEAST_FRAMES + 1):
            await talk.ask(DRAWING.jpeg(index), "result")
        async with streaming(server, FIRST):
            pass
