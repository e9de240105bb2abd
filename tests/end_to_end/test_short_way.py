"""Frames and results that go past ASGI, and when they do not."""

from __future__ import annotations

import orjson

from tests.benchmarks.wire import Wire
from tests.drawing import Drawing
from tests.end_to_end.conftest import MUST, RunningServer, with_header
from tests.waiting import until

DRAWING = Drawing(width=64, height=64, side=16)


def _streaming(server: RunningServer) -> Wire:
    wire = Wire("127.0.0.1", server.port, "/v1/stream")
    wire.say({"type": "hello", "create": {"targets": [{"box": DRAWING.box(0).xywh()}]}})
    assert orjson.loads(wire.hear())["type"] == "welcome"
    return wire


async def test_messages_that_come_in_one_piece_are_taken_in_their_order(server: RunningServer) -> None:
    wire = _streaming(server)
    pieces: list[bytes] = []
    sending, wire.socket = wire.socket, _Recorder(pieces)  # type: ignore[assignment]
    for seq, image in enumerate(DRAWING.jpegs(6), start=1):
        wire.send(with_header(image, seq, flags=MUST))
        wire.say({"type": "ping", "n": seq})
    wire.socket = sending
    wire.socket.sendall(b"".join(pieces))
    results, pongs = list[int](), list[int]()
    while len(results) + len(pongs) < 12:
        message = orjson.loads(wire.hear())
        assert message["type"] in ("result", "pong", "credit"), message
        if message["type"] == "result":
            results.append(message["seq"])
        elif message["type"] == "pong":
            pongs.append(message["n"])
    wire.close()
    assert results == pongs == [1, 2, 3, 4, 5, 6]


class _Recorder:
    """Takes what a Wire sends, in place of its socket."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    def sendmsg(self, parts: list[bytes]) -> int:
        data = b"".join(parts)
        self._pieces.append(data)
        return len(data)


async def test_a_line_whose_peer_reads_nothing_or_is_gone_is_not_ready(server: RunningServer) -> None:
    server.shrink_send_buffers()
    wire = _streaming(server)
    (line,) = server.connections()
    assert line.ready

    def filled() -> bool:
        """Sends what nobody reads, on the server's own loop."""
        line.loop.call_soon_threadsafe(lambda: line.send_now(b"x" * 65536) if line.ready else None)
        return not line.ready

    await until(filled)
    wire.close()
    await until(lambda: not server.connections())
    assert not line.ready
