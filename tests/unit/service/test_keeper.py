"""Leases of a server that stood still: nothing is said in a session's name until it is known whose it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import perf_counter

import pytest
from redis.asyncio import Redis

from service.engine.background import Background
from service.engine.keeper import Keeper
from service.engine.outbox import Outbox
from service.engine.registry import Registry
from service.engine.session import Session
from service.protocol.requests import CreateRequest
from service.security.resume import owner_digest
from service.store.port import LeaseHeld
from service.store.redis import RedisStore
from tests.redis_server import RedisServer
from tests.unit.service.serving import new_registry
from tests.waiting import until

LEASE_S = 0.2
EVERYBODY = owner_digest("")


@pytest.fixture
def patience_s() -> float:
    return 0.2


registry = pytest.fixture(new_registry)


@asynccontextmanager
async def running(keeper: Keeper) -> AsyncIterator[None]:
    """The keeper at work, from when it knows that the store is there."""
    background = Background()
    background.start("keeper", keeper.run())
    await until(lambda: keeper.up)
    yield
    await background.stop()


async def _stood_still(keeper: Keeper, registry: Registry) -> Session:
    """A session with a socket, whose lease has run out since the keeper was last at work."""
    session = registry.create(CreateRequest(detached_ttl_s=60))
    session.attach(Outbox(8), 0.0)
    async with running(keeper):
        await until(lambda: keeper.ours_until_s(session) < float("inf"))
        assert await keeper.holds(session)
    ends_s = keeper.ours_until_s(session)
    await until(lambda: perf_counter() > ends_s)
    return session


@pytest.mark.parametrize("taken", [False, True])
async def test_after_a_standstill_longer_than_the_lease_the_store_says_whose_the_session_is(
    ours: RedisStore, theirs: RedisStore, registry: Registry, taken: bool
) -> None:
    keeper = Keeper(ours, registry, LEASE_S)
    session = await _stood_still(keeper, registry)
    if taken:
        assert await theirs.acquire(session.id, EVERYBODY, 0, 60, 60)
    answer = asyncio.create_task(keeper.holds(session))
    await asyncio.sleep(0)
    assert not answer.done()
    async with running(keeper):
        assert await answer is not taken
    assert (session.state == "closed") is taken


async def test_a_store_that_is_away_when_it_wakes_up_does_not_make_it_sure(
    redis: RedisServer, ours: RedisStore, registry: Registry
) -> None:
    keeper = Keeper(ours, registry, LEASE_S)
    session = await _stood_still(keeper, registry)
    answer = asyncio.create_task(keeper.holds(session))
    redis.freeze()
    task = asyncio.create_task(keeper.run())
    await until(lambda: not keeper.up)
    assert not answer.done()
    redis.thaw()
    assert await answer
    task.cancel()


async def test_while_the_store_is_away_sessions_stay_with_those_who_have_them(
    redis: RedisServer, ours: RedisStore, registry: Registry
) -> None:
    keeper = Keeper(ours, registry, 60.0)
    session = registry.create(CreateRequest(detached_ttl_s=60))
    session.attach(Outbox(8), 0.0)
    async with running(keeper):
        await until(lambda: keeper.ours_until_s(session) < float("inf"))
        redis.freeze()
        session.epoch += 1  # something to be saved
        await until(lambda: not keeper.up)
        assert keeper.ours_until_s(session) == float("inf")
        assert await keeper.holds(session)
        redis.thaw()


async def test_a_session_that_cannot_be_packed_fails_alone(ours: RedisStore, registry: Registry) -> None:
    keeper = Keeper(ours, registry, LEASE_S)
    bad, good = (registry.create(CreateRequest(detached_ttl_s=60)) for _ in range(2))
    for session in (bad, good):
        session.attach(Outbox(8), 0.0)
    bad.answers.want = object()  # type: ignore[assignment]
    async with running(keeper):
        await until(lambda: bad.failed)
        await until(lambda: keeper.ours_until_s(good) < float("inf"))
    assert not good.failed


async def test_a_store_that_was_emptied_without_a_word_gets_the_session_anew(
    redis: RedisServer, ours: RedisStore, theirs: RedisStore, registry: Registry
) -> None:
    keeper = Keeper(ours, registry, LEASE_S)
    session = registry.create(CreateRequest(detached_ttl_s=60))
    session.attach(Outbox(8), 0.0)
    async with Redis.from_url(redis.url) as client, running(keeper):
        await until(lambda: keeper.ours_until_s(session) < float("inf"))
        await client.flushall()
        assert await _held_again(theirs, session.id)
        assert session.state != "closed"


async def _held_again(theirs: RedisStore, session_id: str) -> bool:
    """Waits until the store has the session, and its server the lease; until then there is nothing to be taken."""
    while True:
        try:
            assert await theirs.acquire(session_id, EVERYBODY, 0, 60, 60) is None
        except LeaseHeld:
            return True
