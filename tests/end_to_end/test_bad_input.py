"""Whatever a client sends: it gets the documented error, its session goes on, and so do the others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed

from tests.drawing import Drawing, encoded, jpeg
from tests.end_to_end.conftest import RunningServer, Talk, opened, streaming, with_header

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
GOOD = DRAWING.jpeg(0)


def _with_size(file: bytes, width: int, height: int) -> bytes:
    """A JPEG whose header says another size."""
    position = file.index(b"\xff\xc0") + 5
    return file[:position] + struct.pack(">HH", height, width) + file[position + 4 :]


def _with_marker(file: bytes, marker: int) -> bytes:
    position = file.index(b"\xff\xc0")
    return file[: position + 1] + bytes([marker]) + file[position + 2 :]


FRAMES = [
    pytest.param(b"", "too_short", id="empty"),
    pytest.param(with_header(b"", 5), "too_short", id="header without image"),
    pytest.param(b"this is surely no image, but long enough for one", "bad_magic", id="not an image"),
    pytest.param(b"GIF89a" + bytes(100), "bad_magic", id="gif"),
    pytest.param(with_header(b"BM" + bytes(100), 5), "unsupported_media", id="bmp behind a header"),
    pytest.param(with_header(GOOD, 5, version=2), "unsupported_version", id="header version 2"),
    pytest.param(with_header(GOOD, 5, kind=2), "unsupported_kind", id="kind 2"),
    pytest.param(with_header(GOOD, 5, flags=16), "unsupported_flag", id="critical flag"),
    pytest.param(with_header(GOOD, 1), "seq_not_increasing", id="old seq"),
    pytest.param(with_header(GOOD, 5, size=(99, 99)), "size_mismatch", id="other size"),
    pytest.param(with_header(GOOD, 5, kind=1, size=(319, 240)), "window_outside", id="window beyond its frame"),
    pytest.param(
        with_header(GOOD, 5, kind=1, size=(640, 480), window=(0, 0, 160, 120)),
        "size_mismatch",
        id="other window",
    ),
    pytest.param(GOOD[: len(GOOD) // 2], "image_undecodable", id="truncated at half"),
    pytest.param(GOOD[:-2], "image_undecodable", id="truncated by two bytes"),
    pytest.param(GOOD[:30], "image_undecodable", id="truncated in its header"),
    pytest.param(_with_size(GOOD, 16000, 16000), "image_too_large", id="16000 x 16000 header"),
    pytest.param(_with_size(GOOD, 0, 0), "image_undecodable", id="0 x 0 header"),
    pytest.param(_with_marker(GOOD, 0xC3), "unsupported_media", id="lossless jpeg"),
    pytest.param(encoded(np.zeros((3000, 4000, 3), np.uint8), ".png"), "image_too_large", id="png bomb"),
]


@pytest.fixture
async def neighbour(server: RunningServer) -> AsyncIterator[Talk]:
    """Another session, which must not notice anything."""
    async with streaming(server, FIRST) as talk:
        await talk.ask(GOOD, "result")
        yield talk


async def _goes_on(talk: Talk, index: int = 1) -> None:
    result = await talk.ask(DRAWING.jpeg(index), "result")
    assert result["targets"][0]["state"] == "tracking"
    assert result["targets"][0]["box"] == pytest.approx(DRAWING.box(index).xywh(), abs=2)


@pytest.mark.parametrize(("message", "reason"), FRAMES)
async def test_a_bad_frame_is_rejected_and_the_sessions_go_on(
    server: RunningServer, neighbour: Talk, message: bytes, reason: str
) -> None:
    async with streaming(server, FIRST) as talk:
        await talk.ask(GOOD, "result")
        warning = await talk.ask(message, "warning")
        assert (warning["code"], warning["data"]["reason"]) == ("frame_rejected", reason)
        if message.startswith(b"LKON") and reason not in ("too_short", "unsupported_version", "seq_not_increasing"):
            assert warning["data"]["seq"] == 5
        await _goes_on(talk)
        session = server.app.state.registry.find(talk.welcome["session"])
        counters = session.counters
        assert counters.received == counters.processed + counters.dropped + counters.rejected + session.waiting == 3
    await _goes_on(neighbour)


async def test_grey_palette_deep_and_rotated_pictures_are_taken(server: RunningServer) -> None:
    still = Drawing(speed_x=0, speed_y=0)
    picture = still.frame(0)
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    exif = (
        b"\xff\xe1\x00\x22Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"
        + bytes(4)
    )
    files = [
        jpeg(grey),
        encoded(picture, ".png"),
        encoded(picture.astype(np.uint16) * 257, ".png"),
        encoded(cv2.cvtColor(picture, cv2.COLOR_BGR2BGRA), ".png"),
        encoded(picture, ".webp"),
        encoded(picture, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        GOOD[:2] + exif + jpeg(picture)[2:],
        jpeg(picture) + bytes(10_000),
    ]
    async with streaming(server, list(still.box(0).xywh())) as talk:
        await talk.ask(still.jpeg(0), "result")
        for file in files:
            result = await talk.ask(file, "result")
            assert result["targets"][0]["box"] == pytest.approx(still.box(0).xywh(), abs=1)


async def test_numbers_may_jump_and_end_with_the_session(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        for seq in (1, 2**31 + 1, 2**32 - 1):
            result = await talk.ask(with_header(DRAWING.jpeg(1), seq), "result")
            assert (result["seq"], result["dropped_total"]) == (seq, 0)
        for message in (with_header(GOOD, 0), GOOD):
            await talk.say(message)
        warning = await talk.hear_of("warning")
        assert warning["data"]["reason"] == "seq_not_increasing"
        await talk.ask({"type": "ping"}, "pong")
        session = server.app.state.registry.find(talk.welcome["session"])
        assert session.counters.rejected == 2


@pytest.mark.parametrize(
    ("box", "pointer"),
    [
        ([10, 10, 0, 0], "/box/2"),
        ([10, 10, -5, 20], "/box/2"),
        ([10, 10, 3, 20], "/box/2"),
        ([10, 10, 2000, 20], "/box/2"),
        ([1000, 10, 40, 40], "/box/0"),
        ([10, 10, 40], "/box"),
        ([10, 10, 40, None], "/box/3"),
        ([10, 10, 40, "40"], "/box/3"),
        ("all", "/box"),
    ],
)
async def test_a_bad_box_is_refused_and_the_session_goes_on(
    server: RunningServer, neighbour: Talk, box: Any, pointer: str
) -> None:
    async with streaming(server, FIRST) as talk:
        await talk.ask(GOOD, "result")
        await talk.say({"type": "target.add", "op": "a", "id": "bad", "box": box})
        await talk.say(DRAWING.jpeg(1))
        ack = await talk.hear_of("ack")
        assert (ack["ok"], ack["code"], ack["pointer"]) == (False, "bad_box", pointer)
        assert ack["detail"]
        result = await talk.hear_of("result")
        assert [target["id"] for target in result["targets"]] == ["t0"]
    await _goes_on(neighbour)


async def test_a_bad_box_in_hello_is_an_error_that_ends_nothing(server: RunningServer, neighbour: Talk) -> None:
    async with streaming(server, FIRST, [900, 900, 40, 40]) as talk:
        error = await talk.ask(GOOD, "error")
        assert (error["code"], error["fatal"], error["pointer"]) == ("bad_box", False, "/create/targets/1/box/0")
        await talk.hear_of("result")
        await _goes_on(talk)
    await _goes_on(neighbour)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no json", "malformed_message"),
        ('{"type":"ping","n":NaN}', "malformed_message"),
        ('{"type":"ping","t_ms":1e999}', "malformed_message"),
        ('{"type":"ping","n":1,"n":2}', "malformed_message"),
        ('{"type":"ping","n":' + "[" * 100 + "]" * 100 + "}", "malformed_message"),
        ("[" * 60_000, "malformed_message"),
        ("[]", "malformed_message"),
        ('{"type":"ping","tms":1}', "unknown_field"),
        ('{"type":"target.remove","id":"t0"}', "not_allowed"),
    ],
)
async def test_bad_text_is_an_error_and_the_session_goes_on(server: RunningServer, text: str, code: str) -> None:
    async with streaming(server, FIRST) as talk:
        await talk.ask(GOOD, "result")
        error = await talk.ask(text, "error")
        assert (error["code"], error["fatal"]) == (code, False)
        await _goes_on(talk)


async def test_an_unknown_type_is_a_warning_and_an_unknown_field_of_an_operation_a_refusal(
    server: RunningServer,
) -> None:
    async with streaming(server, FIRST) as talk:
        assert (await talk.ask({"type": "dance"}, "warning"))["code"] == "unknown_type"
        ack = await talk.ask({"type": "target.remove", "op": "r", "id": "t0", "now": True}, "ack")
        assert (ack["ok"], ack["code"], ack["pointer"]) == (False, "unknown_field", "/now")
        pong = await talk.ask({"type": "ping", "n": 1, "x_mine": "ignored"}, "pong")
        assert pong["n"] == 1


@pytest.mark.parametrize(
    ("first", "code", "pointer"),
    [
        (GOOD, "bad_hello", None),
        ("hello", "bad_hello", None),
        ('{"type":"ping"}', "bad_hello", "/type"),
        ('{"type":"hello","versions":[2]}', "bad_hello", None),
        ('{"type":"hello","create":{"modle":"dummy"}}', "bad_hello", "/create/modle"),
        ('{"type":"hello","create":{"model":"nano"}}', "unknown_model", "/create/model"),
        (
            json.dumps({"type": "hello", "create": {"targets": [{"box": FIRST}] * 9}}),
            "too_many_targets",
            "/create/targets",
        ),
    ],
)
async def test_a_bad_first_message_closes_with_4400(
    server: RunningServer, neighbour: Talk, first: str | bytes, code: str, pointer: str | None
) -> None:
    async with opened(server) as talk:
        error = await talk.ask(first, "error")
        assert (error["code"], error["fatal"], error.get("pointer")) == (code, True, pointer)
        assert (await talk.close_code())[0] == 4400
    await _goes_on(neighbour)


async def test_a_second_hello_closes_with_4400(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        assert (await talk.ask({"type": "hello"}, "error"))["fatal"]
        assert (await talk.close_code())[0] == 4400


async def test_a_message_too_large_closes_its_own_socket_with_1009(server: RunningServer, neighbour: Talk) -> None:
    async with streaming(server, FIRST) as talk:
        with contextlib.suppress(ConnectionClosed):  # the server does not wait for the end of the message
            await talk.say(bytes(4 * 1024 * 1024 + 1))
        assert (await talk.close_code())[0] == 1009
    async with streaming(server, FIRST) as talk:
        await talk.say("x" * 65 * 1024 + "x")
        assert (await talk.close_code())[0] == 1009
    await _goes_on(neighbour)


async def test_twenty_unusable_frames_in_a_row_close_with_4415(server: RunningServer, neighbour: Talk) -> None:
    async with streaming(server, FIRST) as talk:
        for _ in range(20):
            await talk.say(b"")
        assert (await talk.close_code())[0] == 4415
    await _goes_on(neighbour)


async def test_many_damaged_files_end_no_session(server: RunningServer) -> None:
    rng = np.random.default_rng(0)
    for _ in range(10):
        async with streaming(server, FIRST, mode="every") as talk:
            await talk.ask(GOOD, "result")
            session = server.app.state.registry.find(talk.welcome["session"])
            for _ in range(15):
                damaged = np.frombuffer(GOOD, np.uint8).copy()
                damaged[rng.integers(3, len(damaged), 3)] ^= rng.integers(1, 255, 3, np.uint8)
                await talk.say(damaged.tobytes())
                await talk.ask({"type": "ping"}, "pong")
                while session.waiting:
                    await talk.ask({"type": "ping"}, "pong")
            # A number of its own: damaged files that could be decoded after all have results as well.
            result = await talk.ask(with_header(GOOD, 1000), "result")
            while result["seq"] != 1000:
                result = await talk.hear_of("result")
            assert result["targets"][0]["id"] == "t0"
            counters = session.counters
            assert counters.received == counters.processed + counters.dropped + counters.rejected == 17


async def test_silence_instead_of_a_hello_closes_with_4408(start_server: Any) -> None:
    server = start_server({"limits": {"hello_timeout_s": 0.05, "idle_timeout_s": 0.05}})
    async with opened(server) as talk:
        assert (await talk.hear())["code"] == "timeout"
        assert (await talk.close_code())[0] == 4408
    async with streaming(server, FIRST) as talk:
        assert (await talk.hear_of("goaway"))["reason"] == "idle"
        assert (await talk.close_code())[0] == 4408


async def test_refused_operations_name_their_reason(server: RunningServer) -> None:
    def operation(op: str, kind: str, **fields: Any) -> dict[str, Any]:
        return {"type": kind, "op": op, **fields}

    async with streaming(server, *[FIRST] * 8) as talk:
        await talk.ask(GOOD, "result")
        cases = [
            (operation("1", "target.add", id="new", box=FIRST, on_seq=1), "too_many_targets"),
            (operation("2", "target.remove", id="who"), "unknown_target"),
            (operation("3", "target.update", id="who", box=FIRST, on_seq=1), "unknown_target"),
            (operation("4", "targets.set", targets=[{"box": FIRST}] * 9), "too_many_targets"),
        ]
        for message, code in cases:
            assert (await talk.ask(message, "ack"))["code"] == code
        assert (await talk.ask(operation("5", "target.remove", id="t7"), "ack"))["ok"]
        assert (await talk.ask(operation("5", "target.remove", id="t7"), "ack"))["ok"]  # the same op: no second effect
        assert (await talk.ask(operation("6", "target.add", id="t0", box=FIRST), "ack"))["code"] == "duplicate_id"
        for index in range(20):
            await talk.say(DRAWING.jpeg(index))
        add = operation("7", "target.add", id="t7", box=FIRST, on_seq=1)
        assert (await talk.ask(add, "ack"))["code"] == "seq_too_old"
        add = operation("8", "target.add", id="t7", box=FIRST, on_seq=1000)
        async with asyncio.timeout(5):
            assert (await talk.ask(add, "ack"))["code"] == "seq_not_arrived"
