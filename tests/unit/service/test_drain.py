"""A server that stops asks its clients to leave one after another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from service.engine.admission import Draining
from service.engine.drain import Drain
from service.engine.fleet import Fleet
from service.engine.keeper import Keeper
from service.engine.outbox import Outbox
from service.engine.registry import Registry
from service.engine.resume import Resumption
from service.engine.session import Session
from service.protocol.requests import CreateRequest
from service.store.redis import RedisStore
from tests.redis_server import RedisServer, redis_or_skip
from tests.unit.service.serving import new_registry
from tests.waiting import until

registry = pytest.fixture(new_registry)


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    yield from redis_or_skip()


@pytest.fixture
async def keeper(redis: RedisServer, registry: Registry) -> AsyncIterator[Keeper]:
    """One that knows that the store is there."""
    store = RedisStore(redis.url, "ours", 5.0)
    keeper = Keeper(store, registry, 60.0)
    task = asyncio.create_task(keeper.run())
    await until(lambda: keeper.up)
    yield keeper
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    await store.close()


def _attached(registry: Registry, count: int, ttl_s: int) -> list[tuple[Session, Outbox]]:
    made = [(registry.create(CreateRequest(detached_ttl_s=ttl_s)), Outbox(8)) for _ in range(count)]
    for session, outbox in made:
        session.attach(outbox, 0.0)
    return made


async def test_clients_that_can_go_on_elsewhere_are_asked_to_one_after_another_and_the_others_told_at_once(
    registry: Registry, keeper: Keeper
) -> None:
    leaving, ending = _attached(registry, 10, 60), _attached(registry, 2, 0)
    fleet = Fleet(None, registry, "1")
    drain = Drain(registry, Resumption(registry, fleet, keeper), fleet, 10.0)
    drain.begin(0.0)
    with pytest.raises(Draining):
        registry.check_stays()
    for _, outbox in ending:
        told = await outbox.get()
        assert isinstance(told, dict)
        assert (told["reason"], told["deadline_ms"], told["resume_token"]) == ("draining", 10000, None)
    asked = []
    for now_s in (0.9, 1.0, 2.9, 4.9, 6.0):
        assert not drain.go_on(now_s)
        asked.append(sum(len(outbox) for _, outbox in leaving))
    assert asked == [0, 1, 5, 10, 10]
    message = await leaving[0][1].get()
    assert isinstance(message, dict)
    assert message["resume_token"] is not None
    for session, _ in leaving + ending:
        session.detach(6.0)
    assert drain.go_on(6.0)


async def test_whoever_stays_is_not_waited_for_beyond_the_limit(registry: Registry) -> None:
    _attached(registry, 1, 60)
    fleet = Fleet(None, registry, "1")
    drain = Drain(registry, Resumption(registry, fleet), fleet, 10.0)
    drain.begin(0.0)
    assert not drain.go_on(9.9)
    assert drain.go_on(10.0)
