"""What is sent, and in which order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from service.engine.outbox import CloseOrder, Item, Outbox, ResultDraft


def _result(seq: int) -> ResultDraft:
    return ResultDraft(seq, None, 0.0, 0.0, 0.0, [], None, None)


def _kept_in(sent: list[int]) -> Callable[[ResultDraft], bool]:
    """Sends every result at once: its number is kept there."""

    def send(result: ResultDraft) -> bool:
        sent.append(result.seq)
        return True

    return send


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


async def test_a_result_goes_past_a_writer_that_has_nothing_to_do() -> None:
    outbox, sent = Outbox(8), list[int]()
    outbox.send_now = _kept_in(sent)
    writer = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.put_newest(_result(1))
    outbox.put(_result(2))
    assert sent == [1, 2]
    assert not writer.done()
    writer.cancel()


async def test_no_result_goes_past_what_waits_or_is_being_sent() -> None:
    outbox, sent = Outbox(8), list[int]()
    outbox.send_now = _kept_in(sent)
    outbox.put_newest(_result(1))  # nobody waits for it: the writer may be sending
    writer = asyncio.create_task(_next(outbox, 3))
    await asyncio.sleep(0)
    outbox.put({"type": "pong"})
    outbox.put_newest(_result(2))
    assert [item.seq if isinstance(item, ResultDraft) else 0 for item in await writer] == [1, 0, 2]
    assert sent == []


async def test_a_result_that_cannot_be_sent_at_once_waits_for_the_writer() -> None:
    outbox = Outbox(8)
    outbox.send_now = lambda result: False
    writer = asyncio.create_task(outbox.get())
    await asyncio.sleep(0)
    outbox.put_newest(_result(1))
    item = await writer
    assert isinstance(item, ResultDraft)
    assert item.seq == 1


async def _next(outbox: Outbox, count: int) -> list[Item]:
    return [await outbox.get() for _ in range(count)]
