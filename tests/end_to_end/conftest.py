"""A real server in a thread of its own, on a free port, and a small client that speaks the protocol by hand."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from pydantic import TypeAdapter
from websockets.asyncio.client import ClientConnection, connect

from service.app import build_app
from service.connections import BoundedProtocol
from service.engine.models import Loader
from service.protocol.server_messages import SERVER_MESSAGES
from service.server import server_config
from service.settings import Settings, load_settings
from tests.addressed import Addressed

TIMEOUT_S = 20.0
# Whatever a server says in any test is what the AsyncAPI document says, field by field.
_SPOKEN = {name: TypeAdapter(kind) for name, kind in SERVER_MESSAGES.items()}


class RunningServer(Addressed):
    """A server that is ready; `app.state` is open to tests that look inside."""

    def __init__(self, settings: Settings, loader: Loader | None = None) -> None:
        self.app: FastAPI = build_app(settings, loader)
        config = server_config(settings)
        config.app = self.app
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._server = uvicorn.Server(config)
        ready = threading.Event()
        startup = self._server.startup

        async def startup_then_ready(sockets: list[socket.socket] | None = None) -> None:
            try:
                await startup(sockets)
            finally:
                ready.set()

        self._server.startup = startup_then_ready  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), daemon=True)
        self._thread.start()
        assert ready.wait(TIMEOUT_S)
        assert self._server.started

    def shrink_send_buffers(self) -> None:
        """Lets the kernel keep as little as it can for connections that are made from now on."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1024)

    def connections(self) -> list[BoundedProtocol]:
        """The open WebSockets, as the server sees them."""
        return [each for each in self._server.server_state.connections if isinstance(each, BoundedProtocol)]

    def tell_to_stop(self) -> None:
        """Lets the server end."""
        self._server.should_exit = True

    def stop(self) -> None:
        """Ends the server and waits for it; again is no error."""
        self.tell_to_stop()
        self._thread.join(TIMEOUT_S)
        self._socket.close()
        assert not self._thread.is_alive()


StartServer = Callable[..., RunningServer]


@pytest.fixture(scope="module")
def start_server() -> Iterator[StartServer]:
    """Starts servers with settings (and a loader) of the test's own; they end with the module."""
    running: list[RunningServer] = []

    def start(overrides: Mapping[str, Any] | None = None, loader: Loader | None = None) -> RunningServer:
        settings = {"models": {"default": "dummy"}} | dict(overrides or {})
        running.append(RunningServer(load_settings(settings), loader))
        return running[-1]

    yield start
    for server in running:
        server.tell_to_stop()
    for server in running:
        server.stop()


@pytest.fixture(scope="module")
def server(start_server: StartServer, request: pytest.FixtureRequest) -> RunningServer:
    """A server with the dummy model, or with the settings that a test passes indirectly."""
    return start_server(getattr(request, "param", None))


@pytest.fixture
async def http(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the REST doors."""
    async with httpx.AsyncClient(base_url=server.http) as client:
        yield client


class Talk:
    """One socket, spoken by hand."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.welcome: dict[str, Any] = {}

    async def say(self, message: Mapping[str, Any] | str | bytes) -> None:
        """Sends a message."""
        await self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(TIMEOUT_S):
            return self.read(await self.socket.recv())

    @staticmethod
    def read(text: str | bytes) -> dict[str, Any]:
        """A message, which is one of the documented ones."""
        message: dict[str, Any] = json.loads(text)
        _SPOKEN[message["type"]].validate_python(message, strict=True)
        return message

    async def hear_of(self, kind: str) -> dict[str, Any]:
        """The next message of that type; others are passed over."""
        while (message := await self.hear())["type"] != kind:
            pass
        return message

    async def ask_any(self, message: Mapping[str, Any] | str | bytes) -> dict[str, Any]:
        """Sends a message and waits for the next one, whatever it is."""
        await self.say(message)
        return await self.hear()

    async def ask(self, message: Mapping[str, Any] | str | bytes, kind: str) -> dict[str, Any]:
        """Sends a message and waits for one of that type."""
        await self.say(message)
        return await self.hear_of(kind)

    async def close_code(self) -> tuple[int | None, str | None]:
        """Waits for the server to close; code and reason."""
        async with asyncio.timeout(TIMEOUT_S):
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason


def opened(server: RunningServer, path: str = "/v1/stream", **arguments: Any) -> AbstractAsyncContextManager[Talk]:
    """A socket on which nothing has been said yet."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Talk]:
        async with connect(server.ws + path, max_size=None, **arguments) as socket:
            yield Talk(socket)

    return opening()


def streaming(server: RunningServer, *boxes: list[float], **create: Any) -> AbstractAsyncContextManager[Talk]:
    """A socket on /v1/stream after hello and welcome, with targets `t0`, `t1`, ... at these boxes."""

    @asynccontextmanager
    async def opening() -> AsyncIterator[Talk]:
        async with opened(server) as talk:
            targets = [{"id": f"t{i}", "box": box} for i, box in enumerate(boxes)]
            talk.welcome = await talk.ask({"type": "hello", "create": {"targets": targets, **create}}, "welcome")
            yield talk

    return opening()


def with_header(
    image: bytes,
    seq: int,
    *,
    flags: int = 0,
    ts_us: int = 0,
    kind: int = 0,
    version: int = 1,
    size: tuple[int, int] = (0, 0),
    window: tuple[int, int, int, int] = (0, 0, 0, 0),
) -> bytes:
    """A binary message with the 32-byte header, packed by hand."""
    x, y, *crop = window
    return struct.pack("<4sBBHIHHQHHHH", b"LKON", version, kind, flags, seq, *crop, ts_us, x, y, *size) + image


MUST = 1
TS_VALID = 4
