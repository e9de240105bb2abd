"""A machine that has much to do: a thousand idle sockets, and a network that becomes slower meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

import pytest
from websockets.asyncio.client import ClientConnection, connect

from models.package import load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.kinds import Precision
from models.tracker import Tracker
from service.telemetry.fairness import jain
from tests.drawing import Drawing
from tests.end_to_end.conftest import StartServer, Talk, streaming
from tests.end_to_end.processes import ServerProcess

pytestmark = pytest.mark.slow

SOCKETS = 1000
STREAMS, FPS = 6, 30
BEFORE_S, AFTER_S, SETTLED_S = 1.0, 3.0, 1.0


class Machine:
    """Obeys the port; each search takes as long as the test says."""

    name = "machine"
    device = "cpu"
    precision = Precision.F32

    def __init__(self) -> None:
        self._inner = load_tracker("dummy").runtime
        self.search_s = 0.0

    def template(self, crops: ByteArray) -> list[Features]:
        return self._inner.template(crops)

    def joined(self, templates: Sequence[Features]) -> Features:
        return self._inner.joined(templates)

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        time.sleep(self.search_s * len(crops))
        return self._inner.search(features, crops, size, loop)


def _memory(process: int) -> int:
    """Bytes."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmRSS:")).split()[1])


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
async def test_idle_sockets_cost_little_memory_and_no_time(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "log", limits__max_sessions=SOCKETS + 1).ready()
    sockets: list[ClientConnection] = []

    async def more(count: int) -> None:
        for _ in range(count):
            sockets.append(await connect(server.ws + "/v1/stream", compression=None))
            await sockets[-1].send('{"type":"hello"}')
            await sockets[-1].recv()

    try:
        await more(1)
        before = _memory(server.pid)
        await asyncio.gather(*(more((SOCKETS - 1) // 10) for _ in range(10)))
        assert (_memory(server.pid) - before) / len(sockets) < 80 * 1024
        waits = []
        for socket in sockets[:100]:
            began_s = perf_counter()
            await socket.send('{"type":"ping"}')
            await socket.recv()
            waits.append(perf_counter() - began_s)
        assert sorted(waits)[50] < 0.02
        for socket in sockets:
            socket.transport.abort()
    finally:
        server.end()


async def test_when_the_machine_becomes_four_times_slower_rates_fall_evenly_and_results_stay_young(
    start_server: StartServer,
) -> None:
    machine, drawing = Machine(), Drawing()
    spec = load_tracker("dummy").spec
    server = start_server({"engine": {"workers": 1}, "limits": {"min_fps": 0}}, lambda _name: Tracker(spec, machine))
    pictures = list(drawing.jpegs(20))
    machine.search_s = 0.004
    began_s = perf_counter()

    async def camera(talk: Talk) -> None:
        index = 0
        while perf_counter() - began_s < BEFORE_S + AFTER_S:
            await talk.say(pictures[index % len(pictures)])
            index += 1
            await asyncio.sleep(began_s + index / FPS - perf_counter())
        await talk.say({"type": "bye"})

    async def answers(talk: Talk) -> list[tuple[float, float]]:
        """When, and how old."""
        heard = []
        async for text in talk.socket:
            message = talk.read(text)
            if message["type"] == "result":
                heard.append((perf_counter() - began_s, message["age_ms"]))
            assert message["type"] in ("result", "credit", "event")
        assert talk.socket.close_code == 1000
        return heard

    async def stream() -> list[tuple[float, float]]:
        async with streaming(server, list(drawing.box(0).xywh())) as talk:
            _, heard = await asyncio.gather(camera(talk), answers(talk))
        return heard

    asyncio.get_running_loop().call_later(BEFORE_S, setattr, machine, "search_s", 0.016)
    streams = await asyncio.gather(*(stream() for _ in range(STREAMS)))
    late = [[age for at_s, age in heard if at_s > BEFORE_S + SETTLED_S] for heard in streams]
    ages = sorted(age for each in late for age in each)
    # Each frame waits for one of each other stream, whatever comes meanwhile; a queue would be two seconds long by now.
    assert ages[int(len(ages) * 0.99)] < 500
    assert jain([len(each) for each in late]) > 0.95
    assert sum(map(len, late)) / (AFTER_S - SETTLED_S) < 0.6 * STREAMS * FPS, "it was overloaded"
