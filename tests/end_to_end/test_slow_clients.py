"""Clients that do not read: they cost a bounded amount of memory for a bounded time, and nobody else anything."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import Any

import httpx
import pytest
from websockets.protocol import State

from tests.drawing import Drawing
from tests.end_to_end.conftest import TIMEOUT_S, RunningServer, StartServer, streaming
from tests.waiting import until

DRAWING = Drawing(width=96, height=96, side=24)
FIRST = list(DRAWING.box(0).xywh())
SEND_TIMEOUT_S = 0.5
TEXT, BINARY, PING = 1, 2, 9


@pytest.fixture(scope="module")
def hasty(start_server: StartServer) -> RunningServer:
    """A server of little patience, whose kernel keeps little for a socket."""
    server = start_server({"limits": {"send_timeout_s": SEND_TIMEOUT_S}})
    server.shrink_send_buffers()
    return server


@contextmanager
def deaf_client(server: RunningServer) -> Iterator[socket.socket]:
    """A real socket after the handshake, with the smallest receive buffer, from which nothing is read any more."""
    with socket.socket() as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        line.settimeout(TIMEOUT_S)
        line.connect(("127.0.0.1", server.port))
        key = base64.b64encode(os.urandom(16)).decode()
        lines = ("Host: 127.0.0.1", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13")
        request = "\r\n".join(("GET /v1/stream HTTP/1.1", *lines, f"Sec-WebSocket-Key: {key}", "\r\n"))
        line.sendall(request.encode())
        answer = b""
        while not answer.endswith(b"\r\n\r\n"):
            answer += line.recv(1)
        assert b" 101 " in answer
        yield line


def masked(opcode: int, payload: bytes) -> bytes:
    """A WebSocket frame as a client sends it, with a mask of zeros."""
    size = len(payload)
    head = struct.pack(">BB", 0x80 | opcode, 0x80 | (size if size < 126 else 126 if size < 65536 else 127))
    length = b"" if size < 126 else struct.pack(">H" if size < 65536 else ">Q", size)
    return head + length + bytes(4) + payload


def hello(**create: Any) -> bytes:
    targets = [{"id": "t", "box": FIRST}]
    return masked(TEXT, json.dumps({"type": "hello", "create": {"targets": targets} | create}).encode())


def send_until_cut_off(line: socket.socket, message: bytes) -> int:
    """Sends without ever reading; how many messages went out until the server had cut the line."""
    sent = 0
    try:
        while True:
            line.sendall(message)
            sent += 1
    except (ConnectionResetError, BrokenPipeError):
        return sent


async def _metrics(server: RunningServer) -> str:
    async with httpx.AsyncClient(base_url=server.http) as client:
        return (await client.get("/metrics")).text


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(masked(BINARY, DRAWING.jpeg(0)), id="frames"),
        pytest.param(masked(TEXT, b'{"type":"ping"}'), id="messages"),
        pytest.param(masked(BINARY, b"no image at all, and long enough for a header"), id="bad frames"),
    ],
)
async def test_a_client_that_never_reads_is_cut_off_in_bounded_time_and_disturbs_nobody(
    hasty: RunningServer, flood: bytes
) -> None:
    registry = hasty.app.state.registry
    async with streaming(hasty, FIRST) as neighbour:
        quiet = [(await neighbour.ask(DRAWING.jpeg(0), "result"))["age_ms"] for _ in range(20)]
        with deaf_client(hasty) as line:
            line.sendall(hello())
            flooding = asyncio.create_task(asyncio.to_thread(send_until_cut_off, line, flood))
            ages = []
            async with asyncio.timeout(TIMEOUT_S):
                while not flooding.done():
                    result = await neighbour.ask(DRAWING.jpeg(0), "result")
                    ages.append(result["age_ms"])
                    assert registry.held_bytes < 1_000_000
                    await asyncio.sleep(0.01)
            assert await flooding > 0
        # A busy machine makes all answers late; a server that waited for the deaf client would do so for 500 ms.
        assert median(ages) < 100 + 5 * median(quiet)
        await until(lambda: len(registry) == 1 and len(hasty.connections()) == 1)


async def test_a_client_that_never_reads_counts_as_4408(hasty: RunningServer) -> None:
    before = _closed(await _metrics(hasty), 4408)
    with deaf_client(hasty) as line:
        line.sendall(hello(mode="every"))
        await asyncio.to_thread(send_until_cut_off, line, masked(BINARY, DRAWING.jpeg(0)))
    async with asyncio.timeout(TIMEOUT_S):
        # The line is cut before the socket's end is counted.
        while (counted := _closed(await _metrics(hasty), 4408)) == before:
            pass
    assert counted == before + 1


def _closed(metrics: str, code: int) -> float:
    start = f'lockon_connections_closed_total{{code="{code}"}} '
    return sum(float(line.removeprefix(start)) for line in metrics.splitlines() if line.startswith(start))


async def test_pings_without_end_whose_answers_are_not_read_fill_no_memory(hasty: RunningServer) -> None:
    await until(lambda: not hasty.connections())
    with deaf_client(hasty) as line:
        line.sendall(hello())
        # Of answers to pings the server waits for none, but a welcome that finds them before it has to go out in time.
        await asyncio.to_thread(_read_past, line, b'"welcome"')
        await asyncio.to_thread(_send_some, line, masked(PING, bytes(125)) * 1000, 40)
        (connection,) = hasty.connections()
        assert connection.transport.get_write_buffer_size() < 200_000


def _read_past(line: socket.socket, sign: bytes) -> None:
    read = b""
    while sign not in read:
        read += line.recv(256)


def _send_some(line: socket.socket, message: bytes, count: int) -> None:
    for _ in range(count):
        line.sendall(message)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
async def test_a_message_that_dribbles_ends_its_socket_with_4408(hasty: RunningServer, opcode: int) -> None:
    async with streaming(hasty, FIRST) as neighbour, streaming(hasty, FIRST) as talk:
        line = talk.socket.transport
        line.write(masked(opcode, bytes(60_000))[:100])
        while talk.socket.state is State.OPEN:
            line.write(bytes(1))
            await neighbour.ask(DRAWING.jpeg(0), "result")  # which takes a while, and goes on all the time
        assert (await talk.close_code())[0] == 4408
        assert (await neighbour.ask(DRAWING.jpeg(0), "result"))["targets"]


async def test_a_large_message_may_take_longer_than_the_timeout_if_it_comes_fast_enough(hasty: RunningServer) -> None:
    async with streaming(hasty, FIRST) as neighbour, streaming(hasty, FIRST) as talk:
        message = masked(BINARY, DRAWING.jpeg(0) + bytes(200_000))  # what follows the picture does not matter
        began_s = perf_counter()
        line = talk.socket.transport
        line.write(message[:100_000])
        while perf_counter() - began_s < 2 * SEND_TIMEOUT_S:
            await neighbour.ask(DRAWING.jpeg(0), "result")
        line.write(message[100_000:])
        assert (await talk.hear_of("result"))["seq"] == 1


async def test_a_message_of_too_many_fragments_ends_its_socket_with_1008(hasty: RunningServer) -> None:
    picture = DRAWING.jpeg(0)
    step = -(-len(picture) // 1024)
    async with streaming(hasty, FIRST) as talk:
        await talk.socket.send([picture[i : i + step] for i in range(0, len(picture), step)])
        assert (await talk.hear_of("result"))["seq"] == 1
        first, another = struct.pack(">BB5x", BINARY, 0x81), struct.pack(">BB5x", 0, 0x81)
        talk.socket.transport.write(first + another * 5000)
        assert (await talk.close_code())[0] == 1008


async def test_a_burst_of_messages_is_answered_message_by_message(hasty: RunningServer) -> None:
    async with streaming(hasty, FIRST) as talk:
        burst = b"".join(masked(TEXT, json.dumps({"type": "ping", "n": n}).encode()) for n in range(500))
        talk.socket.transport.write(burst)
        assert [(await talk.hear_of("pong"))["n"] for _ in range(500)] == list(range(500))


async def test_a_client_that_never_answers_the_close_is_cut_off_as_well(hasty: RunningServer) -> None:
    with deaf_client(hasty) as line:
        line.sendall(hello() + masked(TEXT, b'{"type":"bye"}'))
        await asyncio.to_thread(_read_to_the_end, line)


def _read_to_the_end(line: socket.socket) -> None:
    try:
        while line.recv(4096):
            pass
    except ConnectionResetError:
        pass
