"""The main path: hello, frames, results, operations on targets."""

from __future__ import annotations

import json

import pytest
from websockets.asyncio.client import connect

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.protocol.header import read_frame
from tests.drawing import Drawing, jpeg
from tests.end_to_end.conftest import MUST, TS_VALID, RunningServer, opened, streaming, with_header

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())


async def test_ten_lines_with_the_bare_websockets_package_follow_a_target(server: RunningServer) -> None:
    async with connect(f"{server.ws}/v1/stream") as ws:
        await ws.send(json.dumps({"type": "hello", "create": {"targets": [{"box": FIRST}]}}))
        assert json.loads(await ws.recv())["type"] == "welcome"
        for image in DRAWING.jpegs(10):
            await ws.send(image)
            result = json.loads(await ws.recv())
        assert result["targets"][0]["box"] == pytest.approx(DRAWING.box(9).xywh(), abs=2)
        assert result["targets"][0]["state"] == "tracking"


async def test_boxes_of_must_process_frames_equal_those_of_the_offline_tracker(server: RunningServer) -> None:
    images = list(DRAWING.jpegs(30))
    tracker, decoder = load_tracker("dummy"), HostDecoder()
    pictures = [decoder.decode(read_frame(image, -1, 10**7, 0.0)) for image in images]
    target = tracker.start(pictures[0], DRAWING.box(0))
    offline = [tracker.follow(target, picture).box.xywh() for picture in pictures[1:]]
    async with streaming(server, FIRST, mode="every") as talk:
        results = []
        for begin in range(0, 30, 6):  # as many at once as the queue surely takes
            for image in images[begin : begin + 6]:
                await talk.say(image)
            results += [await talk.hear_of("result") for _ in images[begin : begin + 6]]
    assert [result["seq"] for result in results] == list(range(1, 31))
    assert results[0]["targets"][0]["state"] == "initializing"
    assert results[0]["targets"][0]["box"] == FIRST
    for result, box in zip(results[1:], offline, strict=True):
        assert result["targets"][0]["box"] == pytest.approx(box, abs=1e-3)


async def test_a_result_says_all_that_is_documented(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        await talk.ask(with_header(DRAWING.jpeg(0), 7, flags=TS_VALID, ts_us=1_000_000), "result")
        result = await talk.ask(with_header(DRAWING.jpeg(1), 9, flags=TS_VALID, ts_us=1_033_333), "result")
    assert (result["seq"], result["epoch"], result["ts_us"]) == (9, 1, 1_033_333)
    assert set(result["timings"]) == {"wait", "decode", "prep", "infer", "post", "send_wait", "batch"}
    assert result["age_ms"] > 0
    assert (result["dropped"], result["dropped_total"]) == (0, 0)
    assert set(result["next"]) == {"full", "window", "max_scale"}
    assert len(result["next"]["window"]) == 4
    assert set(result["fps"]) == {"in", "out"}
    assert set(result["targets"][0]) == {"id", "box", "score", "raw", "state", "lost_ms", "search"}


async def test_unwanted_parts_are_left_out_of_results(server: RunningServer) -> None:
    async with streaming(server, FIRST, result={"timings": False, "window": False}) as talk:
        result = await talk.ask(DRAWING.jpeg(0), "result")
    assert "timings" not in result
    assert "next" not in result


async def test_a_target_added_on_a_past_frame_starts_there_and_is_caught_up(server: RunningServer) -> None:
    async with streaming(server) as talk:
        for index in range(6):
            await talk.say(DRAWING.jpeg(index))
        box = list(DRAWING.box(1).xywh())  # frame 1 has seq 2
        ack = await talk.ask({"type": "target.add", "op": "a1", "id": "cup", "box": box, "on_seq": 2}, "ack")
        assert ack == {"type": "ack", "op": "a1", "ok": True, "on_seq": 2, "caught_up": 4}
        result = await talk.ask(DRAWING.jpeg(6), "result")
        while not result["targets"]:
            result = await talk.hear_of("result")
    assert result["targets"][0]["id"] == "cup"
    assert result["targets"][0]["box"] == pytest.approx(DRAWING.box(6).xywh(), abs=2)


async def test_targets_are_added_corrected_and_removed(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        await talk.ask(DRAWING.jpeg(0), "result")
        box = list(DRAWING.box(1).xywh())
        await talk.say({"type": "target.add", "op": "1", "id": "b", "box": box})
        await talk.say({"type": "target.update", "op": "2", "id": "t0", "box": box, "mode": "hint"})
        await talk.say(DRAWING.jpeg(1))
        acks = [await talk.hear_of("ack"), await talk.hear_of("ack")]
        assert [(ack["op"], ack["ok"], ack["on_seq"]) for ack in acks] == [("1", True, 2), ("2", True, 2)]
        assert [t["id"] for t in (await talk.hear_of("result"))["targets"]] == ["t0", "b"]
        assert (await talk.ask({"type": "target.remove", "op": "3", "id": "t0"}, "ack"))["ok"]
        assert [t["id"] for t in (await talk.ask(DRAWING.jpeg(2), "result"))["targets"]] == ["b"]
        await talk.say({"type": "targets.set", "op": "4", "targets": [{"id": "c", "box": list(DRAWING.box(3).xywh())}]})
        await talk.say(DRAWING.jpeg(3))
        assert (await talk.hear_of("ack"))["ok"]
        assert [t["id"] for t in (await talk.hear_of("result"))["targets"]] == ["c"]


async def test_frames_before_any_target_are_counted_and_answered_without_targets(server: RunningServer) -> None:
    async with streaming(server) as talk:
        result = await talk.ask(DRAWING.jpeg(0), "result")
    assert (result["targets"], result["dropped"]) == ([], 1)


async def test_a_frame_with_the_no_reply_flag_moves_the_target_and_gets_no_result(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        await talk.say(with_header(DRAWING.jpeg(0), 1, flags=MUST | 1 << 9))
        result = await talk.ask(with_header(DRAWING.jpeg(1), 2, flags=MUST), "result")
    assert (result["seq"], result["targets"][0]["state"]) == (2, "tracking")


async def test_a_covered_target_is_reported_lost_and_then_reacquired(server: RunningServer) -> None:
    still = Drawing(speed_x=0, speed_y=0)
    empty = Drawing(seed=5, side=1).frame(0)
    seen: list[str] = []
    events: list[str] = []
    async with streaming(server, list(still.box(0).xywh())) as talk:
        for picture in [still.jpeg(0)] * 3 + [jpeg(empty)] * 20 + [still.jpeg(0)] * 6:
            await talk.say(picture)
            while (message := await talk.hear())["type"] != "result":
                events.append(message["kind"])
            seen.append(message["targets"][0]["state"])
            if seen[-1] == "lost":
                assert message["targets"][0]["lost_ms"] >= 0
            searched = {"initializing": "none", "lost": "wide"}.get(seen[-1], "local")
            assert message["targets"][0]["search"] == searched
    assert events == ["lost", "reacquired"]
    assert seen.count("reacquired") == 1
    assert seen[-1] == "tracking"


async def test_ping_is_answered_and_bye_closes_with_1000(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        pong = await talk.ask({"type": "ping", "n": 3, "t_ms": 12.5}, "pong")
        assert (pong["n"], pong["t_ms"]) == (3, 12.5)
        await talk.say({"type": "bye"})
        assert (await talk.close_code())[0] == 1000


async def test_the_subprotocol_is_confirmed_where_it_is_offered(server: RunningServer) -> None:
    async with opened(server, subprotocols=["lockon.v1"]) as talk:
        assert talk.socket.subprotocol == "lockon.v1"


async def test_no_compression_is_negotiated(server: RunningServer) -> None:
    async with opened(server, compression="deflate") as talk:
        assert talk.socket.protocol.extensions == []
