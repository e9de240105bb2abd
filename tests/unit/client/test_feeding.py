from __future__ import annotations

import pytest
from lockon_client import track
from lockon_client.feeding import Changes, Feed


async def stamps(feed: Feed, frames: list[bytes]) -> list[int | None]:
    taken = []
    for frame in frames:
        await feed.fill([frame])
        taken.append(feed.take().ts_us)
    return taken


async def test_the_frames_of_a_recording_are_as_far_apart_as_when_they_were_taken() -> None:
    assert await stamps(Feed(Changes(), every=True, fps=25), [b"a", b"b", b"c"]) == [40_000, 80_000, 120_000]


async def test_a_recording_of_unknown_speed_has_no_times() -> None:
    assert await stamps(Feed(Changes(), every=True), [b"a", b"b"]) == [None, None]


async def test_live_frames_have_the_time_of_the_clock() -> None:
    first, second = await stamps(Feed(Changes(), every=False), [b"a", b"b"])
    assert first is not None
    assert second is not None
    assert second >= first > 0


async def test_frames_a_second_are_for_recordings_alone() -> None:
    with pytest.raises(ValueError, match="fps=30 is for recordings"):
        async with track("ws://127.0.0.1:1", fps=30):
            pass
