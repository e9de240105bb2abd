"""The Python client against a running server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import lockon_client
import numpy as np
import pytest
from websockets.asyncio.server import ServerConnection, serve

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.protocol.header import read_frame
from tests.drawing import Drawing, jpeg
from tests.end_to_end.conftest import RunningServer

DRAWING = Drawing()
FRAMES = [jpeg(DRAWING.frame(index)) for index in range(12)]
FIRST = DRAWING.box(0).xywh()


async def test_every_frame_gets_its_result_and_the_boxes_of_the_offline_tracker(server: RunningServer) -> None:
    tracker = load_tracker("dummy")
    pictures = [HostDecoder().decode(read_frame(frame, -1, 10**7, 0.0)) for frame in FRAMES]
    target = tracker.start(pictures[0], DRAWING.box(0))
    expected = [tracker.follow(target, picture).box.xywh() for picture in pictures[1:]]
    async with lockon_client.track(server.ws, box=FIRST, every=True) as t:
        results = [result async for result in t.results(FRAMES)]
    assert [result.seq for result in results] == list(range(1, 13))
    for result, box in zip(results[1:], expected, strict=True):
        assert result.targets[0].box == pytest.approx(box, abs=1e-3)


async def test_live_frames_are_answered_up_to_the_newest(server: RunningServer) -> None:
    async with lockon_client.track(server.ws, box=FIRST) as t:
        results = [result async for result in t.results(FRAMES)]
    assert results
    assert all(result.true_age_ms is not None and result.true_age_ms > 0 for result in results)
    answered_or_left_out = len(results) + t.skipped + results[-1].dropped_total
    assert answered_or_left_out == len(FRAMES)


async def test_targets_come_and_go_while_results_run(server: RunningServer) -> None:
    counts: list[int] = []

    async def endless() -> AsyncIterator[bytes]:
        while len(counts) < 40:
            yield FRAMES[0]
            await asyncio.sleep(0)

    async with lockon_client.track(server.ws, targets={"one": FIRST}, every=True) as t:
        async for result in t.results(endless()):
            counts.append(len(result.targets))
            if len(counts) == 3:
                await t.add(FIRST, id="two", on_seq=result.seq)
            if len(counts) == 20:
                await t.remove("one")
                with pytest.raises(lockon_client.TargetRefused, match="unknown_target"):
                    await t.remove("nobody")
            if len(counts) == 40:
                assert [target.id for target in result.targets] == ["two"]
    assert max(counts) == 2


async def test_several_operations_in_one_step_of_a_recording_are_all_answered(server: RunningServer) -> None:
    async with lockon_client.track(server.ws, targets={"one": FIRST}, every=True, timeout_s=5) as t:
        results: list[lockon_client.Result] = []
        async for result in t.results(FRAMES * 4):
            results.append(result)
            if result.seq == 1:
                for name in ("two", "three", "four"):
                    await t.add(FIRST, id=name)
    assert [result.seq for result in results] == list(range(1, len(FRAMES) * 4 + 1))
    assert [target.id for target in results[-1].targets] == ["one", "two", "three", "four"]


@pytest.mark.parametrize("every", [True, False])
async def test_a_box_outside_the_first_frame_is_refused_with_the_reason(server: RunningServer, every: bool) -> None:
    targets = {"in": FIRST, "out": (900, 900, 40, 40)}
    async with lockon_client.track(server.ws, targets=targets, every=every) as t:
        with pytest.raises(lockon_client.TargetRefused, match=r"must be inside the frame.*targets/1.*bad_box"):
            async for _ in t.results(FRAMES):
                pass


async def test_a_recording_without_any_target_ends_with_words_for_it(server: RunningServer) -> None:
    async with lockon_client.track(server.ws, every=True, timeout_s=1) as t:
        with pytest.raises(lockon_client.AnswerTimeout, match="within 1 s: the session follows nothing; give box"):
            [result async for result in t.results(FRAMES)]


async def test_a_model_the_server_does_not_have_is_refused_by_name(server: RunningServer) -> None:
    with pytest.raises(lockon_client.LockonError, match="nosuchmodel"):
        async with lockon_client.track(server.ws, box=FIRST, model="nosuchmodel"):
            pass


async def test_an_unknown_session_is_not_found(server: RunningServer) -> None:
    with pytest.raises(lockon_client.NotFound):
        async with lockon_client.track(f"{server.ws}/v1/sessions/ses_aaaaaaaaaaaaaaaaaaaaaaaaaa/stream"):
            pass


async def test_a_broken_image_is_rejected_where_every_frame_counts(server: RunningServer) -> None:
    async with lockon_client.track(server.ws, box=FIRST, every=True) as t:
        results = t.results([FRAMES[0], FRAMES[1][:400], FRAMES[2]])
        with pytest.raises(lockon_client.FrameRejected):
            [result async for result in results]


async def test_nothing_is_left_running_afterwards(server: RunningServer) -> None:
    before = asyncio.all_tasks()
    async with lockon_client.track(server.ws, box=FIRST) as t:
        async for _ in t.results(FRAMES):
            break
    assert asyncio.all_tasks() == before


async def test_windows_give_the_boxes_of_whole_frames_with_fewer_bytes(server: RunningServer) -> None:
    drawing = Drawing(width=640, height=360)
    pictures = [drawing.frame(index) for index in range(12)]
    first = drawing.box(0).xywh()
    async with lockon_client.track(server.ws, box=first, every=True) as t:
        whole = [result async for result in t.results(pictures)]
        assert t.saved_bytes == 0
    async with lockon_client.track(server.ws, box=first, every=True, send_window=True) as t:
        windows = [result async for result in t.results(pictures)]
        assert t.saved_bytes > 5 * len(jpeg(pictures[0]))
    assert [result.targets[0].box for result in windows] == [result.targets[0].box for result in whole]


async def test_windows_of_large_targets_are_scaled_down_and_boxes_stay_in_frame_pixels(server: RunningServer) -> None:
    drawing = Drawing(width=1280, height=720, side=240, speed_x=6, speed_y=2)
    pictures = [drawing.frame(index) for index in range(10)]
    first = drawing.box(0).xywh()
    async with lockon_client.track(server.ws, box=first, every=True, send_window=True) as t:
        results = [result async for result in t.results(pictures)]
        sent = len(results) * len(jpeg(pictures[0], 90)) - t.saved_bytes
    following = results[-1].next
    assert following is not None
    assert following.window is not None
    x, y, w, h = following.window
    assert following.max_scale < 0.5
    unscaled = len(jpeg(pictures[-1][y : y + h, x : x + w], 90))
    assert (sent - len(jpeg(pictures[0], 90))) / (len(pictures) - 1) < 0.6 * unscaled
    for index, result in enumerate(results):
        assert result.targets[0].state is not lockon_client.State.UNCERTAIN
        assert tuple(result.targets[0].box) == pytest.approx(drawing.box(index).xywh(), abs=0.1 * drawing.side)


async def test_a_cadence_and_thresholds_hold_for_the_session(server: RunningServer) -> None:
    drawing = Drawing(speed_x=1.0, speed_y=1.0)
    thresholds = lockon_client.Thresholds(leave=0.2, lost_after_ms=40)
    gone = np.random.default_rng(9).integers(0, 80, (240, 320, 3), np.uint8)
    pictures = [*(drawing.frame(index) for index in range(12)), *[gone] * 4]
    first = drawing.box(0).xywh()
    async with lockon_client.track(server.ws, box=first, every=True, cadence=4, thresholds=thresholds) as t:
        results = [result.targets[0] async for result in t.results(pictures)]
    assert sum(target.search == "carried" for target in results) >= 6
    assert results[-1].state is lockon_client.State.LOST, "four frames are longer than 40 ms"


@pytest.mark.parametrize(
    "options",
    [{"cadence": 1000}, {"thresholds": lockon_client.Thresholds(leave=0.9, reacquire=0.1)}],
    ids=["cadence", "thresholds"],
)
async def test_the_server_says_what_it_does_not_take(server: RunningServer, options: dict[str, Any]) -> None:
    (name,) = options
    with pytest.raises(lockon_client.InvalidRequest, match=name):
        async with lockon_client.track(server.ws, box=FIRST, **options):
            pass


async def test_a_session_that_exists_keeps_its_cadence(server: RunningServer) -> None:
    with pytest.raises(ValueError, match="made with"):
        async with lockon_client.track(f"{server.ws}/v1/sessions/ses_1/stream", cadence=4):
            pass


async def test_targets_are_added_and_frames_change_their_size_between_windows(server: RunningServer) -> None:
    drawing = Drawing(width=640, height=360)
    pictures = [drawing.frame(index // 2) for index in range(30)]
    pictures[20:] = [picture[:300, :500] for picture in pictures[20:]]
    async with lockon_client.track(server.ws, box=FIRST, every=True, send_window=True) as t:
        results: list[lockon_client.Result] = []
        async for result in t.results(pictures):
            results.append(result)
            if len(results) == 5:
                ack = await t.add((300, 200, 40, 40), id="late")
                assert ack.ok
        saved = t.saved_bytes
    assert len(results) == len(pictures)
    assert len(results[-1].targets) == 2
    assert saved > 0


async def test_after_a_window_that_is_refused_a_whole_frame_is_sent() -> None:
    answered = asyncio.Semaphore(1)
    kinds: list[int] = []

    async def pictures() -> AsyncIterator[Any]:
        for _ in range(6):
            await answered.acquire()
            yield DRAWING.frame(0)

    async def refusing(socket: ServerConnection) -> None:
        """Says like a server what it would look at, and then takes no window."""
        await socket.recv()
        credit = {"frames": 2, "must": 4}
        welcome = {"session": "ses_1", "epoch": 1, "resumed": False, "mode": "latest", "targets": []}
        await socket.send(json.dumps({"type": "welcome", "model": {"id": "m"}, "credit": credit} | welcome))
        following = {"full": False, "window": [16, 16, 64, 64], "max_scale": 1.0}
        async for message in socket:
            if isinstance(message, bytes):
                seq = len(kinds) + 1
                kinds.append(message[5])
                why = {"reason": "window_outside", "seq": seq}
                refusal = {"type": "warning", "code": "frame_rejected", "data": why}
                result = {"type": "result", "seq": seq, "epoch": 1, "targets": [], "age_ms": 1.0, "next": following}
                await socket.send(json.dumps(refusal if message[5] else result | {"dropped": 0, "dropped_total": 0}))
                answered.release()

    async with (
        serve(refusing, "127.0.0.1", 0) as server,
        lockon_client.track(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}", box=FIRST, send_window=True) as t,
    ):
        assert [result async for result in t.results(pictures())]
    refused = kinds.index(1)
    assert 0 in kinds[refused + 1 : refused + 3], "one more may be under way already"


async def test_windows_give_way_to_whole_frames_when_the_target_is_gone(server: RunningServer) -> None:
    drawing = Drawing(width=640, height=360)
    gone = [np.random.default_rng(9).integers(0, 80, (360, 640, 3), np.uint8)] * 25
    async with lockon_client.track(server.ws, box=FIRST, every=True, send_window=True) as t:
        results = [result async for result in t.results([*(drawing.frame(index) for index in range(5)), *gone])]
    assert results[3].next is not None
    assert not results[3].next.full
    assert results[-1].targets[0].state is lockon_client.State.LOST
    assert all(result.next is not None and result.next.full for result in results[7:])
