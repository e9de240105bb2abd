"""A store that two servers share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from service.store.redis import RedisStore
from tests.redis_server import RedisServer, redis_or_skip


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    """A Redis of the module's own."""
    yield from redis_or_skip()


@pytest.fixture
def patience_s() -> float:
    """How long our server waits for the store's answer."""
    return 5.0


@pytest.fixture
async def ours(redis: RedisServer, patience_s: float) -> AsyncIterator[RedisStore]:
    """The store as our server has it."""
    store = RedisStore(redis.url, "ours", patience_s)
    yield store
    await store.close()


@pytest.fixture
async def theirs(redis: RedisServer) -> AsyncIterator[RedisStore]:
    """The store as another server has it."""
    store = RedisStore(redis.url, "theirs", 5.0)
    yield store
    await store.close()
