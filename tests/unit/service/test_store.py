"""The session store against a real Redis: epochs only grow, a lease keeps others out, nothing waits for ever."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from service.store.port import LeaseHeld, RecordGone, StoreAway
from service.store.redis import RedisStore
from tests.redis_server import RedisServer
from tests.waiting import TIMEOUT_S

OWNER, SOMEBODY_ELSE = "0" * 24, "f" * 24


async def test_a_session_that_is_not_there_is_none(ours: RedisStore) -> None:
    assert await ours.acquire("nobody", OWNER, 0, 10, 60) is None


async def test_a_lease_keeps_others_out_until_it_is_given_back(ours: RedisStore, theirs: RedisStore) -> None:
    assert await ours.save("given", OWNER, 1, b"one", 10, 60)
    with pytest.raises(LeaseHeld) as held:
        await theirs.acquire("given", OWNER, 0, 10, 60)
    assert 9 < held.value.left_s <= 10
    assert held.value.node == await theirs.home("given", OWNER) == "ours"
    assert await ours.save("given", OWNER, 1, b"two", 0, 60)
    lease = await theirs.acquire("given", OWNER, 0, 10, 60)
    assert lease is not None
    assert (lease.epoch, lease.before, lease.snapshot) == (2, 1, b"two")


async def test_who_comes_too_late_changes_nothing(ours: RedisStore, theirs: RedisStore) -> None:
    await ours.save("late", OWNER, 1, b"one", 0, 60)
    assert await theirs.acquire("late", OWNER, 0, 10, 60)
    assert not await ours.save("late", OWNER, 1, b"stale", 10, 60)
    await ours.delete("late", 1)
    again = await theirs.acquire("late", OWNER, 0, 10, 60)
    assert again is not None
    assert (again.epoch, again.snapshot) == (3, b"one")
    await theirs.delete("late", 3)
    assert await theirs.acquire("late", OWNER, 0, 10, 60) is None


async def test_of_two_servers_in_one_epoch_the_one_that_the_store_knows_has_the_session(
    ours: RedisStore, theirs: RedisStore
) -> None:
    # A server that cannot reach the store counts on by itself; another one, which can, comes to the same number.
    await ours.save("both", OWNER, 1, b"one", 0, 60)
    assert await theirs.acquire("both", OWNER, 0, 10, 60)
    assert not await ours.save("both", OWNER, 2, b"ours", 10, 60)
    await ours.delete("both", 2)
    assert await theirs.save("both", OWNER, 2, b"theirs", 10, 60)


async def test_a_session_may_be_placed_with_another_server_and_its_first_socket_be_anywhere(
    ours: RedisStore, theirs: RedisStore
) -> None:
    await ours.place("placed", OWNER, "theirs", b"new", 60)
    assert await ours.home("placed", OWNER) == "theirs"
    lease = await ours.acquire("placed", OWNER, 0, 10, 60)
    assert lease is not None
    assert (lease.epoch, lease.before, lease.snapshot) == (1, 0, b"new")
    assert await theirs.home("nowhere", OWNER) is None


async def test_to_others_than_its_owner_a_session_is_not_there_and_nothing_changes(
    ours: RedisStore, theirs: RedisStore
) -> None:
    await ours.place("placed", OWNER, "ours", b"new", 60)
    await ours.save("saved", OWNER, 1, b"one", 10, 60)
    for session in ("placed", "saved"):
        for store in (ours, theirs):
            assert await store.acquire(session, SOMEBODY_ELSE, 0, 10, 60) is None
            assert await store.home(session, SOMEBODY_ELSE) is None
        assert await theirs.home(session, OWNER) == "ours"
    assert await ours.save("saved", OWNER, 1, b"two", 10, 60)


async def test_servers_see_the_notices_of_the_others_until_they_are_taken_down_or_run_out(
    ours: RedisStore, theirs: RedisStore
) -> None:
    assert await ours.announce(b"{1}\n", 60) == {}
    assert await theirs.announce(b"two", 0.05) == {"ours": b"{1}\n"}
    while await ours.announce(b"one", 60):
        pass
    assert await theirs.announce(None, 60) == {"ours": b"one"}
    assert await ours.announce(None, 60) == {}
    assert await theirs.announce(b"two", 60) == {}


async def test_an_epoch_is_above_what_the_server_itself_has_reached(ours: RedisStore) -> None:
    await ours.save("above", OWNER, 1, b"one", 0, 60)
    lease = await ours.acquire("above", OWNER, 7, 10, 60)
    assert lease is not None
    assert lease.epoch == 8


async def test_a_lease_that_is_not_renewed_runs_out(ours: RedisStore, theirs: RedisStore) -> None:
    await ours.save("forgotten", OWNER, 1, b"one", 0.05, 60)
    taken: list[int] = []
    deadline = monotonic() + 10
    while not taken and monotonic() < deadline:
        try:
            lease = await theirs.acquire("forgotten", OWNER, 0, 10, 60)
        except LeaseHeld:
            continue
        taken += [lease.epoch] if lease else []
    assert taken == [2]


async def test_a_renewal_keeps_what_was_saved(ours: RedisStore) -> None:
    await ours.save("renewed", OWNER, 1, b"one", 10, 60)
    await ours.save("renewed", OWNER, 1, None, 10, 60)
    lease = await ours.acquire("renewed", OWNER, 1, 10, 60)
    assert lease is not None
    assert lease.snapshot == b"one"


async def test_a_store_that_says_nothing_is_away_after_the_deadline_and_back_when_it_speaks(redis: RedisServer) -> None:
    store = RedisStore(redis.url, "ours", 0.1)
    await store.ping()
    redis.freeze()
    began = monotonic()
    try:
        with pytest.raises(StoreAway):
            await store.ping()
        assert monotonic() - began < 2
    finally:
        redis.thaw()
    async with asyncio.timeout(TIMEOUT_S):
        while not await _answers(store):
            pass
    await store.close()


async def _answers(store: RedisStore) -> bool:
    try:
        await store.ping()
    except StoreAway:
        return False
    return True


async def test_a_renewal_makes_no_record_of_a_session_that_the_store_has_lost(
    ours: RedisStore, theirs: RedisStore
) -> None:
    with pytest.raises(RecordGone):
        await ours.save("lost", OWNER, 3, None, 0, 60)
    assert await theirs.acquire("lost", OWNER, 0, 10, 60) is None
    assert await ours.save("lost", OWNER, 3, b"anew", 0, 60)
    lease = await theirs.acquire("lost", OWNER, 0, 10, 60)
    assert lease is not None
    assert (lease.epoch, lease.snapshot) == (4, b"anew")
