"""Requests that no client sends by mistake: heads without end, two lengths, half a request. The server goes on."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest

from tests.end_to_end.conftest import TIMEOUT_S, RunningServer, StartServer

POST = b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\n"
HEAD = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"


@pytest.fixture(scope="module")
def hasty(start_server: StartServer) -> RunningServer:
    """A server that waits for no head for long."""
    return start_server({"limits": {"body_timeout_s": 0.3}})


@pytest.fixture(autouse=True)
async def goes_on(hasty: RunningServer) -> AsyncIterator[None]:
    yield
    async with httpx.AsyncClient(base_url=hasty.http) as http, asyncio.timeout(TIMEOUT_S):
        while True:
            # On a busy machine this client, too, may need too long for its head.
            with suppress(httpx.RemoteProtocolError):
                assert (await http.get("/livez")).status_code == 200
                return


async def answer(server: RunningServer, data: bytes) -> bytes:
    """All that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    async with asyncio.timeout(TIMEOUT_S):
        writer.write(data)
        received = await reader.read()
    writer.close()
    return received


def problem(received: bytes) -> tuple[int, str]:
    """Status and code of a refusal."""
    head, _, body = received.partition(b"\r\n\r\n")
    assert b"application/problem+json" in head
    details: dict[str, Any] = json.loads(body)
    assert int(head.split(b" ")[1]) == details["status"]
    return details["status"], details["code"]


@pytest.mark.parametrize(
    "data",
    [
        POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"no request\r\n\r\n",
    ],
    ids=["length and chunks", "two lengths", "garbage"],
)
async def test_requests_whose_end_is_unclear_are_refused(hasty: RunningServer, data: bytes) -> None:
    assert problem(await answer(hasty, data)) == (400, "malformed-request")


@pytest.mark.parametrize(
    "data",
    [
        HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n",
        HEAD + b"".join(b"X%d: x\r\n" % number for number in range(1000)) + b"\r\n",
        b"GET /" + b"x" * 40_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
    ids=["long", "many", "address"],
)
async def test_headers_without_end_are_refused(hasty: RunningServer, data: bytes) -> None:
    assert problem(await answer(hasty, data)) == (431, "headers-too-large")


async def test_a_header_that_never_ends_is_cut_off_after_a_little(hasty: RunningServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.port)
    writer.write(HEAD + b"X: ")
    sent = 0
    async with asyncio.timeout(TIMEOUT_S):
        try:
            while not reader.at_eof() and not writer.is_closing():
                writer.write(b"x" * 10_000)
                await writer.drain()
                sent += 10_000
                await asyncio.sleep(0)
        except ConnectionError:
            pass
    assert sent < 50_000_000
    writer.close()


async def test_half_a_head_gets_408_and_silence_an_end(hasty: RunningServer) -> None:
    assert problem(await answer(hasty, HEAD)) == (408, "request-timeout")
    assert await answer(hasty, b"") == b""


async def test_heads_of_every_fair_size_are_taken_one_after_the_other(hasty: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=hasty.http) as http:
        for size in (0, 5_000, 30_000, 1):
            got = await http.post("/v1/sessions", json={"label": "x"}, headers={"X-Long": "x" * size})
            assert got.status_code == 201
    pieces = [HEAD, b"X: y\r\n", b"Connection: close\r\n\r\n"]
    reader, writer = await asyncio.open_connection("127.0.0.1", hasty.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(TIMEOUT_S):
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


@pytest.mark.parametrize("path", ["/%00", "/v1/sessions/%00", "/v1/sessions/%ff%fe", "/../../etc/passwd", "/%2e%2e/x"])
async def test_strange_paths_are_not_found(hasty: RunningServer, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert problem(await answer(hasty, head.encode())) == (404, "not-found")
