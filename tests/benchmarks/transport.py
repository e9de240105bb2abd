"""What a message costs on its way: uvicorn's WebSocket implementations and loops against each other, and Lockon's own.

    python -m tests.benchmarks.transport
    python -m tests.benchmarks.transport --rounds 3 --messages 200 --kb 60

Each server is a process of its own and answers a binary message with 200 bytes of text. `bare` is an ASGI application
of ten lines; `lockon` is the whole server, but for pictures and network: no frame is decoded, no crop is cut, and the
runtime answers at once.
CPU: of the server, for each message, with four connections of one message in flight each. At most: messages/s of the
same. Round trip: one connection at 30 messages/s. All servers take turns in random order; figures are medians of the
rounds, and the last column is the difference to the bare server of the same kind in the same round.
"""

from __future__ import annotations

import argparse
import os
import random
import selectors
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from statistics import median
from time import perf_counter, sleep
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from service.protocol.header import Flag, FrameHeader, Kind
from tests.benchmarks.wire import Wire, percentile, threads_cpu_s
from tests.drawing import jpeg

CONNECTIONS = 4
RATE = 30.0
ANSWER = "x" * 200
BARE, LOCKON = "bare", "lockon"
CHOSEN = "websockets-sansio, uvloop"
WIDTH, HEIGHT = 1280, 720
Message = Callable[[int], tuple[bytes, bytes]]


async def bare_app(scope: Mapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Takes every socket and answers every message."""
    if scope["type"] == "lifespan":
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})
            if event["type"] == "lifespan.shutdown":
                return
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": ANSWER})


def serve_bare(ws: str, loop: str, http: str = "httptools") -> None:
    """Serves `bare_app` on a free port, whose number it prints."""
    import socket

    import uvicorn

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        "tests.benchmarks.transport:bare_app",
        ws=ws,
        loop=loop,
        http=http,
        ws_per_message_deflate=False,
        log_level="critical",
    )
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)  # noqa: T201
    uvicorn.Server(config).run([listener])


def serve_lockon() -> None:
    """Serves Lockon with a decoder and a runtime that answer at once, and no crops."""
    from models import tracker as tracking
    from models.families import FAMILIES
    from models.frames import Picture
    from models.package import load_tracker
    from models.runtimes.base import Best
    from models.runtimes.dummy import DummyRuntime
    from service.engine.decoding import HostDecoder
    from service.server import run
    from service.settings import load_settings

    class Still(DummyRuntime):
        """Every target is where it was."""

        def search(self, features: Any, crops: Any, size: Any, loop: Any) -> Best:
            best = np.full((len(crops), 8), 0.9, np.float32)
            best[:, :2], best[:, 2:4] = crops.shape[1] / 2, size
            return Best(best, np.zeros((len(crops), 2), np.float32))

    picture = Picture.of(np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    HostDecoder.decode_all = lambda self, frame: picture  # type: ignore[method-assign]
    HostDecoder.decode_part = lambda self, frame, part: picture  # type: ignore[method-assign]
    spec = load_tracker("dummy").spec
    uncut = FAMILIES[spec.family]._replace(cut=lambda frame, window, out, fill: None)
    tracking.FAMILIES = {**FAMILIES, spec.family: uncut}  # type: ignore[attr-defined]
    settings = load_settings({"server": {"port": 0, "log_level": "warning"}, "models": {"default": "dummy"}})
    run(settings, loader=lambda _: tracking.Tracker(spec, Still()))


@dataclass
class Served:
    """A server that runs, and what was measured of it."""

    process: subprocess.Popen[str]
    port: int
    lockon: bool
    cpu_us: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)

    def opened(self) -> Wire:
        """A connection; with Lockon, of a session with a target."""
        if not self.lockon:
            return Wire("127.0.0.1", self.port)
        wire = Wire("127.0.0.1", self.port, "/v1/stream")
        wire.say({"type": "hello", "create": {"targets": [{"box": [600, 320, 80, 80]}]}})
        wire.hear()
        return wire

    def cpu_s(self) -> float:
        """CPU time so far."""
        return sum(threads_cpu_s(self.process.pid).values())


@contextmanager
def served(call: str, *, lockon: bool) -> Iterator[Served]:
    """A process that runs that function of this module."""
    program = f"from tests.benchmarks.transport import serve_bare, serve_lockon; {call}"
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, f"{call} did not start"
        server = Served(process, int(line.rpartition(":")[2]), lockon)
        try:
            _wait(server)
            yield server
        finally:
            process.terminate()


def _wait(server: Served) -> None:
    """Until it takes connections: a bare server prints its address before it listens to what it is told."""
    end_s = perf_counter() + 20
    while True:
        try:
            Wire("127.0.0.1", server.port, "/v1/stream" if server.lockon else "/").close()
        except ConnectionError:
            if perf_counter() > end_s:
                raise
            sleep(0.05)
        else:
            return


def saturate(server: Served, messages: int, message: Message) -> None:
    """As many messages as fit through four connections, one in flight each."""
    wires = [server.opened() for _ in range(CONNECTIONS)]
    for seq in (1, 2):
        for wire in wires:
            wire.send(*message(seq))
            _hear_answer(wire)
    before, began = server.cpu_s(), perf_counter()
    answered, seqs = 0, dict.fromkeys(wires, 2)
    with selectors.DefaultSelector() as selector:
        for wire in wires:
            selector.register(wire, selectors.EVENT_READ)
            seqs[wire] += 1
            wire.send(*message(seqs[wire]))
        while answered < messages:
            for key, _ in selector.select(30):
                ready = key.fileobj
                assert isinstance(ready, Wire)
                for _ in filter(_answers, ready.heard()):
                    answered += 1
                    seqs[ready] += 1
                    ready.send(*message(seqs[ready]))
    server.per_s.append(answered / (perf_counter() - began))
    server.cpu_us.append((server.cpu_s() - before) / answered * 1e6)
    for wire in wires:
        wire.close()


def pace(server: Served, messages: int, message: Message) -> None:
    """One message after the other at a camera's rate."""
    wire = server.opened()
    times_ms = []
    began = perf_counter()
    for seq in range(1, messages + 1):
        sleep(max(0.0, began + seq / RATE - perf_counter()))
        sent = perf_counter()
        wire.send(*message(seq))
        _hear_answer(wire)
        times_ms.append((perf_counter() - sent) * 1e3)
    wire.close()
    server.p50_ms.append(median(times_ms[2:]))
    server.p99_ms.append(percentile(times_ms[2:], 0.99))


def _hear_answer(wire: Wire) -> None:
    while not _answers(wire.hear()):
        pass


def _answers(message: bytes) -> bool:
    """Whether it answers a frame; the others tell how many may be under way."""
    return not message.startswith(b'{"type":"credit"')


def frame_of(size: int) -> bytes:
    """A 720p JPEG of about that many bytes."""
    noise = np.random.default_rng(1).normal(128, 40, (HEIGHT // 8, WIDTH // 8, 3)).clip(0, 255).astype(np.uint8)
    picture = np.kron(noise, np.ones((8, 8, 1), np.uint8))
    file = min((jpeg(picture, quality) for quality in range(20, 96, 5)), key=lambda file: abs(len(file) - size))
    return file if len(file) >= size else file + bytes(size - len(file))


def table(servers: Mapping[str, Served]) -> Table:
    """One row for each server."""
    shown = Table("server", "CPU us", "messages/s per CPU s", "at most/s", "p50 ms", "p99 ms", "p50 over bare, ms")
    for name, server in servers.items():
        own = servers[f"{BARE}, {CHOSEN}"]
        over = median(mine - bare for mine, bare in zip(server.p50_ms, own.p50_ms, strict=True))
        cpu_us = median(server.cpu_us)
        shown.add_row(
            name,
            f"{cpu_us:.0f}",
            f"{1e6 / cpu_us:.0f}",
            f"{median(server.per_s):.0f}",
            f"{median(server.p50_ms):.2f}",
            f"{median(server.p99_ms):.2f}",
            f"{over:+.2f}",
        )
    return shown


def main() -> None:
    """Measures and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=7)
    options.add_argument("--messages", type=int, default=600, help="messages of a turn")
    options.add_argument("--kb", type=float, default=60.0)
    chosen = options.parse_args()
    file = frame_of(round(chosen.kb * 1e3))

    def message(seq: int) -> tuple[bytes, bytes]:
        time_us = round(perf_counter() * 1e6)
        return FrameHeader(Kind.FULL, Flag.TS_VALID, seq, 0, 0, time_us, 0, 0, WIDTH, HEIGHT).packed(), file

    order = random.Random(1)
    with ExitStack() as stack:
        servers = {name: stack.enter_context(one) for name, one in _offered()}
        for _ in range(chosen.rounds):
            for server in order.sample(list(servers.values()), len(servers)):
                saturate(server, chosen.messages, message)
                pace(server, max(10, chosen.messages // 10), message)
    console = Console(width=160)
    console.print(f"{len(file) / 1e3:.0f} kB a message, load of the machine {os.getloadavg()[0]:.1f}")
    console.print(table(servers))


def _offered() -> Iterator[tuple[str, Any]]:
    implementations: Sequence[str] = ("websockets-sansio", "websockets", "wsproto")
    for ws in implementations:
        if ws == "wsproto" and find_spec("wsproto") is None:
            continue
        for loop in ("uvloop", "asyncio"):
            yield f"{BARE}, {ws}, {loop}", served(f"serve_bare({ws!r}, {loop!r})", lockon=False)
    yield f"{BARE}, {CHOSEN}, h11", served("serve_bare('websockets-sansio', 'uvloop', 'h11')", lockon=False)
    yield LOCKON, served("serve_lockon()", lockon=True)


if __name__ == "__main__":
    main()
