"""Which other server a client is sent to, by what each says of itself."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from service.engine.fleet import Fleet
from service.engine.registry import Registry
from service.engine.snapshots import VERSION
from service.store.redis import RedisStore
from tests.redis_server import RedisServer
from tests.unit.service.serving import new_registry
from tests.waiting import until

registry = pytest.fixture(new_registry)


@pytest.fixture
async def fleet(redis: RedisServer, registry: Registry) -> AsyncIterator[Fleet]:
    """At work, next to servers that have been heard of: by their names here."""
    store = RedisStore(redis.url, "ours", 5.0)
    registry.address = "/n/ours"
    fleet = Fleet(store, registry, "1.0")
    await _say(redis, "a", address="/n/a", room=3)
    await _say(redis, "b", address="/n/b", room=10, mood="good")
    await _say(redis, "full", address="/n/full")
    await _say(redis, "later", address="/n/later", room=99, snapshots=VERSION + 1)
    await _say(redis, "strange", door="/n/strange")
    task = asyncio.create_task(fleet.run())
    await until(lambda: fleet.address_of("b") is not None)
    yield fleet
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await store.close()


async def _say(redis: RedisServer, node: str, **notice: Any) -> None:
    store = RedisStore(redis.url, node, 5.0)
    await store.announce(json.dumps(notice).encode(), 60)
    await store.close()


async def test_of_two_servers_the_one_with_more_room_is_taken_until_that_is_used_up(fleet: Fleet) -> None:
    taken: Counter[str] = Counter()
    while (roomier := fleet.roomier()) is not None:
        taken[roomier[1]] += 1
    assert taken == {"/n/a": 3, "/n/b": 10}
    assert not fleet.has_room


async def test_servers_are_known_by_what_they_say_whatever_else_they_say(fleet: Fleet) -> None:
    known = {node: fleet.address_of(node) for node in ("a", "b", "full", "later", "strange", "ours")}
    expected = {"a": "/n/a", "b": "/n/b", "full": "/n/full", "later": "/n/later"}
    assert known == expected | {"strange": None, "ours": None}


async def test_a_server_that_is_about_to_stop_takes_its_notice_down(
    fleet: Fleet, redis: RedisServer, registry: Registry
) -> None:
    other = RedisStore(redis.url, "other", 5.0)
    notice = json.loads((await other.announce(None, 60))["ours"])
    assert notice == {
        "address": "/n/ours",
        "room": registry.limits.max_sessions,
        "version": "1.0",
        "snapshots": VERSION,
    }
    registry.draining = True
    fleet.hurry()
    async with asyncio.timeout(20):
        while "ours" in await other.announce(None, 60):
            pass
    await other.close()
