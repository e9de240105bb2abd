"""A proxy between a client and a server: lines through it can be cut, held, and led to another server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial

import lockon_client
from lockon_client import LineEvent
from lockon_client.stream import BoxLike, Track

from tests.addressed import Addressed

TIMEOUT_S = 20.0


class Forwarder(Addressed):
    """Forwards every connection to `port` of this machine."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.port = 0
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def cut(self) -> None:
        """Breaks all lines without a word."""
        for writer in list(self._writers):
            writer.transport.abort()

    def hold(self) -> None:
        """Lets the present lines hang, as a pulled cable would; later ones are forwarded."""
        self._flowing.clear()
        self._flowing = asyncio.Event()
        self._flowing.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Forwarder]:
        """Listens on a free port."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except ConnectionError:
            writer.transport.abort()
            return
        flowing = self._flowing
        await asyncio.gather(self._pipe(reader, far_writer, flowing), self._pipe(far_reader, writer, flowing))

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError):
                while data := await reader.read(65536):
                    await flowing.wait()
                    writer.write(data)
                    await writer.drain()
        finally:
            self._writers.discard(writer)
            writer.close()


@contextmanager
def forwarding_in_a_thread(port: int) -> Iterator[Forwarder]:
    """A proxy that runs beside a test that does not wait for it; `target` is all that may be touched."""
    ready: Future[tuple[Forwarder, Callable[[], object]]] = Future()

    async def run() -> None:
        ended = asyncio.Event()
        async with Forwarder(port).running() as line:
            ready.set_result((line, partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set)))
            await ended.wait()

    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(asyncio.run, run())
        line, end = ready.result(TIMEOUT_S)
        try:
            yield line
        finally:
            end()
        running.result(TIMEOUT_S)


@asynccontextmanager
async def recording_through_a_line(
    port: int, box: BoxLike, events: list[LineEvent]
) -> AsyncIterator[tuple[Forwarder, Track]]:
    """Follows a recording on the server at `port` through a line that can be cut; `events` takes what is told of it."""
    async with (
        Forwarder(port).running() as line,
        lockon_client.track(line.ws, box=box, every=True, on_event=events.append) as stream,
    ):
        yield line, stream
