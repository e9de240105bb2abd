"""What is sent, and in which order."""

from __future__ import annotations

from service.engine.outbox import CloseOrder, Item, Outbox, ResultDraft


def _result(seq: int) -> ResultDraft:
    return ResultDraft(seq, None, 0.0, 0.0, 0.0, [], None, None)


async def _all(outbox: Outbox) -> list[Item]:
    return [await outbox.get() for _ in range(len(outbox))]


async def test_an_ordinary_result_that_still_waits_goes_before_a_later_must_process_one() -> None:
    outbox = Outbox(8)
    outbox.put_newest(_result(5))
    outbox.put(_result(6))
    assert [item.seq for item in await _all(outbox) if isinstance(item, ResultDraft)] == [5, 6]


async def test_a_newer_ordinary_result_replaces_the_one_that_waits() -> None:
    outbox = Outbox(8)
    for seq in range(100):
        outbox.put_newest(_result(seq))
    assert [item.seq for item in await _all(outbox) if isinstance(item, ResultDraft)] == [99]
    assert outbox.coalesced == 99


async def test_too_many_waiting_messages_end_the_socket_and_free_their_memory() -> None:
    outbox = Outbox(8)
    for n in range(100):
        outbox.put({"type": "pong", "n": n})
    (end,) = await _all(outbox)
    assert isinstance(end, CloseOrder)
    assert (end.code, end.reason.partition(":")[0]) == (4408, "slow_consumer")
