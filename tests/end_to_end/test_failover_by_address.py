"""A session that was made by REST, and has an address of its own, outlives its server like any other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import lockon_client
import pytest
from lockon_client import Interrupted, LineEvent, Resumed

from tests.drawing import Drawing
from tests.end_to_end.conftest import StartServer
from tests.end_to_end.forwarding import Forwarder
from tests.end_to_end.processes import ServerProcess
from tests.end_to_end.test_failover import _saved as saved
from tests.redis_server import RedisServer, redis_or_skip

DRAWING = Drawing()
FILE = DRAWING.jpeg(0)
SETTINGS = {"token_keys": ["a key for tests, of no other use"], "timeout_s": 2, "lease_s": 0.8}


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    yield from redis_or_skip()


async def test_a_client_waits_at_the_sessions_address_until_the_dead_servers_lease_is_over(
    redis: RedisServer, tmp_path: Path, start_server: StartServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = {f"store__{name}": json.dumps(value) for name, value in SETTINGS.items()}
    dies = ServerProcess(tmp_path / "log", store__url=redis.url, **store).ready()
    stays = start_server({"store": {"url": redis.url, **SETTINGS}})
    monkeypatch.setattr("lockon_client.retrying.FIRST_DELAY_S", 0.05)
    async with httpx.AsyncClient(base_url=dies.http) as http:
        made = (await http.post("/v1/sessions", json={"targets": [{"box": list(DRAWING.box(0).xywh())}]})).json()
    events: list[LineEvent] = []
    epochs: list[int] = []

    async def camera() -> AsyncIterator[bytes]:
        while max(epochs, default=0) < 2:
            yield FILE
            await asyncio.sleep(0.02)

    try:
        async with (
            Forwarder(dies.port).running() as line,
            lockon_client.track(line.ws + made["stream_url"], on_event=events.append) as t,
        ):
            async for result in t.results(camera()):
                epochs.append(result.epoch)
                if len(epochs) == 3:
                    await saved(dies)
                    line.target = stays.port
                    dies.kill()
                    line.cut()
    finally:
        dies.end()
    assert [type(event) for event in events] == [Interrupted, Resumed]
    assert t.welcome.session == made["id"]
