"""What a session keeps: the slot, the queue, the ring; and the outbox. All of them bounded."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.engine.backlog import Backlog, QueueFull, Ring
from service.engine.clocks import AgeClock, Rate
from service.engine.outbox import CloseOrder, Outbox, ResultDraft
from service.protocol.header import Frame
from service.protocol.images import ImageHeader, ImageKind

HEADER = ImageHeader(ImageKind.JPEG, 4, 4, 3)


def frame(seq: int, size: int = 10) -> Frame:
    return Frame(seq, bytes(size), HEADER, None, must_process=False, no_reply=False, received_s=0.0)


def draft(seq: int) -> ResultDraft:
    return ResultDraft(seq, None, 0.0, 0.0, 0.0, [], None, None)


def test_the_newest_frame_replaces_the_one_that_waits() -> None:
    backlog = Backlog(2, 100)
    assert backlog.put(frame(1), must=False) is None
    replaced = backlog.put(frame(2), must=False)
    assert replaced is not None
    assert replaced.seq == 1
    taken = backlog.take()
    assert taken is not None
    assert taken.seq == 2
    assert backlog.take() is None


def test_must_process_frames_keep_their_order_and_go_before_newer_ones() -> None:
    backlog = Backlog(3, 100)
    backlog.put(frame(1), must=False)
    assert backlog.put(frame(2), must=True) is not None  # number 1 would only hold it up
    backlog.put(frame(3), must=True)
    backlog.put(frame(4), must=False)
    assert [taken.seq for taken in (backlog.take(), backlog.take(), backlog.take()) if taken] == [2, 3, 4]


def test_a_full_queue_refuses_by_number_and_by_bytes() -> None:
    backlog = Backlog(2, 25)
    backlog.put(frame(1), must=True)
    with pytest.raises(QueueFull):
        backlog.put(frame(2, 20), must=True)
    backlog.put(frame(3), must=True)
    with pytest.raises(QueueFull):
        backlog.put(frame(4, 1), must=True)


@given(st.lists(st.tuples(st.integers(0, 60), st.booleans()), max_size=60))
def test_nothing_that_is_kept_grows_beyond_its_bounds(arrivals: list[tuple[int, bool]]) -> None:
    backlog, ring, refused, replaced = Backlog(4, 100), Ring(5, 100), 0, 0
    for seq, (size, must) in enumerate(arrivals):
        ring.put(frame(seq, size))
        try:
            replaced += backlog.put(frame(seq, size), must=must) is not None
        except QueueFull:
            refused += 1
        assert len(backlog) <= 5
        assert backlog.bytes <= 100 + 60
        assert ring.bytes <= 100
        assert len(list(ring)) <= 5
    assert len(arrivals) == refused + replaced + len(backlog)


def test_frames_to_catch_up_on_are_thinned_out_evenly_and_end_with_the_newest() -> None:
    ring = Ring(16, 10**6)
    for seq in range(1, 31):
        ring.put(frame(seq))
    assert [kept.seq for kept in ring.between(26, None, 8)] == [27, 28, 29, 30]
    thinned = [kept.seq for kept in ring.between(14, None, 8)]
    assert thinned == [16, 18, 20, 22, 24, 26, 28, 30]
    assert ring.find(14) is None


async def test_results_coalesce_and_control_messages_keep_their_order() -> None:
    outbox = Outbox(8)
    outbox.put({"type": "ack"})
    outbox.put_newest(draft(1))
    outbox.put_newest(draft(2))
    outbox.put({"type": "event"})
    outbox.close(1000, "normal: bye")
    outbox.put({"type": "never"})
    items = [await outbox.get() for _ in range(4)]
    assert items == [{"type": "ack"}, {"type": "event"}, draft(2), CloseOrder(1000, "normal: bye")]
    assert outbox.coalesced == 1


async def test_too_many_unread_messages_end_the_socket() -> None:
    outbox = Outbox(8)
    for _ in range(100):
        outbox.put({"type": "event"})
    assert len(outbox) == 1
    end = await outbox.get()
    assert isinstance(end, CloseOrder)
    assert (end.code, end.reason.partition(":")[0]) == (4408, "slow_consumer")


def test_age_above_the_best_delay_needs_no_common_clock() -> None:
    clock = AgeClock()
    assert clock.excess_s(5_000_000, 1000.0) == (0.0, False)
    excess, jumped = clock.excess_s(5_100_000, 1000.3)
    assert excess == pytest.approx(0.2)
    assert not jumped
    assert clock.excess_s(4_000_000, 1000.4) == (0.0, True)


def test_a_rate_is_measured_over_the_last_events() -> None:
    rate = Rate()
    for index in range(100):
        rate.add(index / 30)
    assert rate.per_second == pytest.approx(30, abs=0.1)
