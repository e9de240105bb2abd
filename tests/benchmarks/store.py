"""What sessions and replicas cost the store: bytes of a snapshot, and its processor time for a save, for the renewal of
a lease, and for a replica's notice, which reads those of all others.

    python -m tests.benchmarks.store [--saves 2000]

Needs redis-server. The store's CPU time is read from the system, so that a busy machine spoils it less.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from models.package import DEFAULT_MODEL, load_tracker
from service.engine.decoding import HostDecoder
from service.engine.models import Model
from service.engine.session import Session
from service.engine.snapshots import captured, packed
from service.engine.steps import Stepper
from service.protocol.requests import CreateRequest, TargetRequest
from service.settings_sections import LimitSettings
from service.store.redis import RedisStore
from service.telemetry.metrics import Metrics
from tests.drawing import Drawing
from tests.redis_server import RedisServer

LEASE_S, TTL_S = 4.0, 180.0
OWNER = "0" * 24
REPLICAS = (10, 100, 1000)
NOTICE = b'{"address":"wss://lockon-1000.example/n/lockon-1000","room":7,"version":"0.1.0","snapshots":1}'


def snapshot() -> bytes:
    """A session with one target that was followed for a while, as it is saved."""
    drawing, tracker = Drawing(), load_tracker(DEFAULT_MODEL)
    model = Model("m", tracker, Stepper(tracker, HostDecoder()), Metrics().tally("m"), digest="d")
    create = CreateRequest(targets=[TargetRequest(box=list(drawing.box(0).xywh()))])
    session = Session("ses_1", create, model, LimitSettings(), lambda _session: None, 0.0, owner="me")
    for file in drawing.jpegs(5):
        session.receive(file, 0.0)
        job = session.take(0.0)
        assert job is not None
        (outcome,) = model.stepper.run([job])
        session.finish(outcome, 0.0)
    return packed(captured(session, 0.0))


Ask = Callable[[RedisStore, int], Awaitable[object]]


async def spent(server: RedisServer, ask: Ask, count: int) -> float:
    """Processor time of the store for each of so many questions, in microseconds."""
    store = RedisStore(server.url, "node", timeout_s=30.0)
    await ask(store, 0)
    before_s = cpu_s(server.pid)
    for number in range(count):
        await ask(store, number)
    used_s = cpu_s(server.pid) - before_s
    await store.close()
    return used_s / count * 1e6


async def filled(server: RedisServer, replicas: int) -> None:
    """Puts up the notices of so many replicas."""
    for number in range(replicas):
        store = RedisStore(server.url, f"node-{number}", timeout_s=30.0)
        await store.announce(NOTICE, 3600.0)
        await store.close()


def cpu_s(pid: int) -> float:
    """Processor time that a process has used so far."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def main() -> None:
    """Measures and prints a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--saves", type=int, default=2000)
    count = options.parse_args().saves
    binary = shutil.which("redis-server")
    assert binary is not None, "apt-get install redis-server"
    server = RedisServer(binary)
    content = snapshot()
    shown = Table("at the store", "bytes", "its CPU, us")
    try:
        asked: dict[str, Ask] = {
            "a save with its snapshot": lambda store, i: store.save(f"ses_{i % 64}", OWNER, 1, content, LEASE_S, TTL_S),
            "a renewal of the lease": lambda store, i: store.save(f"ses_{i % 64}", OWNER, 1, None, LEASE_S, TTL_S),
        }
        for name, ask in asked.items():
            size = len(content) if ask is asked["a save with its snapshot"] else 0
            shown.add_row(name, str(size), f"{asyncio.run(spent(server, ask, count)):.0f}")
        for replicas in REPLICAS:
            asyncio.run(filled(server, replicas))
            used_us = asyncio.run(spent(server, lambda store, _: store.announce(NOTICE, 3600.0), count // 10))
            shown.add_row(f"a notice among {replicas} replicas", str(len(NOTICE)), f"{used_us:.0f}")
    finally:
        server.end()
    console = Console(width=120)
    console.print(shown)
    console.print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
