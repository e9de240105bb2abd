"""What lies in the store can be read, and made, by the servers alone."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from service.settings_sections import StoreSettings
from service.store.opening import open_store
from service.store.port import SessionStore
from service.store.redis import RedisStore
from service.store.sealing import Seal, SealBroken
from tests.redis_server import RedisServer

OLD, NEW = "an old secret of thirty-two characters", "a new secret of thirty-two characters"
OWNER = "0" * 24
PICTURE = b"a picture of somebody" * 100


@pytest.mark.parametrize("keys", [[OLD], [NEW, OLD]], ids=["the same key", "a newer key first"])
def test_what_is_sealed_can_be_opened_with_the_key_and_looks_like_nothing(keys: list[str]) -> None:
    sealed = Seal([OLD]).sealed(PICTURE, "ses_1")
    assert b"somebody" not in sealed
    assert len(sealed) == len(PICTURE) + 40
    assert Seal(keys).opened(sealed, "ses_1") == PICTURE
    assert Seal([OLD]).sealed(PICTURE, "ses_1") != sealed


@pytest.mark.parametrize(
    ("keys", "session", "position", "reason"),
    [
        pytest.param([NEW], "ses_1", None, "none of store.token_keys", id="with another key"),
        pytest.param([OLD], "ses_2", None, "another session", id="in another session's place"),
        pytest.param([OLD], "ses_1", 0, "not sealed", id="another magic"),
        pytest.param([OLD], "ses_1", 15, "changed", id="another nonce"),
        pytest.param([OLD], "ses_1", 100, "changed", id="another picture"),
        pytest.param([OLD], "ses_1", -1, "changed", id="another tag"),
    ],
)
def test_what_was_changed_is_refused(keys: list[str], session: str, position: int | None, reason: str) -> None:
    sealed = bytearray(Seal([OLD]).sealed(PICTURE, "ses_1"))
    if position is not None:
        sealed[position] ^= 1
    with pytest.raises(SealBroken, match=reason):
        Seal(keys).opened(bytes(sealed), session)


@pytest.mark.parametrize("length", [0, 3, 4, 12, 24, 30])
def test_what_was_cut_off_is_refused(length: int) -> None:
    with pytest.raises(SealBroken):
        Seal([OLD]).opened(Seal([OLD]).sealed(PICTURE, "ses_1")[:length], "ses_1")


@pytest.fixture
async def plain(redis: RedisServer) -> AsyncIterator[RedisStore]:
    store = RedisStore(redis.url, "somebody", 5.0)
    yield store
    await store.close()


async def opened(redis: RedisServer, key: str) -> SessionStore:
    store = open_store(StoreSettings.model_validate({"url": redis.url, "token_keys": [key], "timeout_s": 5}), "ours")
    assert store is not None
    return store


async def test_the_store_of_the_settings_keeps_nothing_that_others_can_read(
    redis: RedisServer, plain: RedisStore
) -> None:
    ours = await opened(redis, OLD)
    assert await ours.save("saved", OWNER, 1, PICTURE, 0, 60)
    await ours.place("placed", OWNER, "ours", PICTURE, 60)
    for session in ("saved", "placed"):
        seen = await plain.acquire(session, OWNER, 0, 0, 60)
        assert seen is not None
        assert seen.snapshot is not None
        assert b"somebody" not in seen.snapshot
        lease = await ours.acquire(session, OWNER, 0, 10, 60)
        assert lease is not None
        assert lease.snapshot == PICTURE
    await ours.close()


async def test_a_snapshot_of_servers_with_other_keys_is_none(redis: RedisServer) -> None:
    theirs, ours = await opened(redis, NEW), await opened(redis, OLD)
    await theirs.save("theirs", OWNER, 1, PICTURE, 0, 60)
    lease = await ours.acquire("theirs", OWNER, 0, 10, 60)
    assert lease is not None
    assert lease.snapshot is None
    await theirs.close()
    await ours.close()
