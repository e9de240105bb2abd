"""Windows in place of frames: the client sends what the tracker will look at, and gets the boxes of full frames."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest

from models.runtimes.base import ByteArray
from tests.drawing import Drawing, encoded, jpeg
from tests.end_to_end.conftest import RunningServer, StartServer, Talk, streaming, with_header

DRAWING = Drawing(width=640, height=368, speed_x=5, speed_y=2)
FIRST = list(DRAWING.box(0).xywh())
FRAMES = 25
QUALITY = 80


def png(picture: ByteArray) -> bytes:
    return encoded(picture, ".png")


def jpeg_80(picture: ByteArray) -> bytes:
    return jpeg(picture, QUALITY)


def window_message(picture: ByteArray, window: list[int], seq: int, encode: Callable[[ByteArray], bytes]) -> bytes:
    """The window of the picture as a binary message."""
    x, y, width, height = window
    file = encode(np.ascontiguousarray(picture[y : y + height, x : x + width]))
    size = (picture.shape[1], picture.shape[0])
    return with_header(file, seq, kind=1, size=size, window=(x, y, width, height))


async def boxes(
    server: RunningServer, pictures: list[ByteArray], encode: Callable[[ByteArray], bytes], *, windows: bool
) -> tuple[list[list[list[float]]], int]:
    """Every result's boxes, of two targets, and how many frames were sent as windows."""
    found: list[list[list[float]]] = []
    next_: dict[str, Any] = {"full": True}
    sent = 0
    async with streaming(server, FIRST, [300.0, 200.0, 40.0, 40.0], mode="every") as talk:
        for seq, picture in enumerate(pictures, 1):
            if windows and not next_["full"]:
                message = window_message(picture, next_["window"], seq, encode)
                sent += 1
            else:
                message = with_header(encode(picture), seq)
            result = await talk.ask(message, "result")
            next_ = result["next"]
            found.append([target["box"] for target in result["targets"]])
    return found, sent


@pytest.mark.parametrize("encode", [png, jpeg_80], ids=["png", "jpeg"])
async def test_boxes_are_exactly_those_of_full_frames(
    server: RunningServer, encode: Callable[[ByteArray], bytes]
) -> None:
    still = Drawing(seed=3).frame(0)[:40, :40]
    pictures = []
    for index in range(FRAMES):
        picture = DRAWING.frame(index)
        picture[200:240, 300:340] = still
        pictures.append(picture)
    full, _ = await boxes(server, pictures, encode, windows=False)
    found, sent = await boxes(server, pictures, encode, windows=True)
    assert found == full
    assert sent == FRAMES - 1
    assert full[-1][0] != full[0][0], "the target moves"


async def test_the_window_is_smaller_than_the_frame_and_on_the_grid_of_jpeg_blocks(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        result = await talk.ask(DRAWING.jpeg(0), "result")
    x, y, width, height = result["next"]["window"]
    assert not result["next"]["full"]
    assert width * height < DRAWING.width * DRAWING.height / 3
    assert [x % 16, y % 16, (x + width) % 16, (y + height) % 16] == [0, 0, 0, 0]


async def _following(talk: Talk, count: int = 4) -> dict[str, Any]:
    """The last result of a few full frames."""
    for index in range(count):
        result = await talk.ask(DRAWING.jpeg(index), "result")
    assert result["targets"][0]["state"] == "tracking"
    return result


async def test_a_window_without_the_search_region_is_padded_and_the_target_uncertain(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        result = await _following(talk)
        x, y, width, height = result["next"]["window"]
        half = [x, y, width // 2, height]
        result = await talk.ask(window_message(DRAWING.frame(4), half, 5, png), "result")
        assert result["targets"][0]["state"] == "uncertain"
        assert result["next"]["full"]
        far = [480, 240, 64, 64]
        result = await talk.ask(window_message(DRAWING.frame(5), far, 6, png), "result")
        assert result["targets"][0]["state"] == "uncertain"
        result = await talk.ask(with_header(DRAWING.jpeg(5), 7), "result")
        assert result["targets"][0]["state"] == "tracking"
        assert not result["next"]["full"]


async def test_windows_while_the_target_is_lost_leave_it_lost(server: RunningServer) -> None:
    empty = np.random.default_rng(9).integers(0, 80, DRAWING.frame(0).shape, np.uint8)
    async with streaming(server, FIRST) as talk:
        await _following(talk)
        for seq in range(5, 30):
            result = await talk.ask(with_header(jpeg(empty), seq), "result")
        assert result["targets"][0]["state"] == "lost"
        assert result["next"]["full"]
        for later in range(30, 38):
            box = result["targets"][0]["box"]
            corner = [int(box[0]) // 16 * 16, int(box[1]) // 16 * 16]
            message = window_message(DRAWING.frame(4), [*corner, 64, 64], later, png)
            result = await talk.ask(message, "result")
            assert result["targets"][0]["state"] == "lost"
            assert result["next"]["full"]


async def test_a_target_is_not_started_on_a_window_but_on_the_next_full_frame(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        result = await _following(talk)
        window = result["next"]["window"]
        await talk.ask(window_message(DRAWING.frame(4), window, 5, png), "result")
        add = {"type": "target.add", "op": "a", "id": "late", "box": FIRST, "on_seq": 5}
        refused = await talk.ask(add, "ack")
        assert (refused["ok"], refused["code"]) == (False, "seq_too_old")
        await talk.say(add | {"op": "b", "on_seq": "next"})
        result = await talk.ask(window_message(DRAWING.frame(5), window, 6, png), "result")
        assert result["next"]["full"], "something waits to be started"
        assert [target["id"] for target in result["targets"]] == ["t0"]
        await talk.say(with_header(DRAWING.jpeg(6), 7))
        started = await talk.hear_of("ack")
        assert (started["ok"], started["on_seq"]) == (True, 7)
        result = await talk.hear_of("result")
        assert [target["id"] for target in result["targets"]] == ["t0", "late"]


async def test_a_stream_that_begins_with_windows_waits_for_its_first_full_frame(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        result = await talk.ask(window_message(DRAWING.frame(0), [0, 0, 160, 160], 1, png), "result")
        assert (result["targets"], result["next"]["full"]) == ([], True)
        result = await talk.ask(with_header(DRAWING.jpeg(0), 2), "result")
        assert result["targets"][0]["state"] == "initializing"


async def test_windows_are_counted_apart(start_server: StartServer) -> None:
    server = start_server()
    async with streaming(server, FIRST) as talk:
        result = await talk.ask(with_header(DRAWING.jpeg(0), 1), "result")
        await talk.ask(window_message(DRAWING.frame(1), result["next"]["window"], 2, png), "result")
    async with httpx.AsyncClient(base_url=server.http) as http:
        text = (await http.get("/metrics")).text
    assert 'lockon_frames_received_total{kind="full",model="dummy"} 1.0' in text
    assert 'lockon_frames_received_total{kind="window",model="dummy"} 1.0' in text
