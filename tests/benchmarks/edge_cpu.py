"""What streams cost the edge: HAProxy's processor time for a frame and for a megabyte.

    python -m tests.benchmarks.edge_cpu [--streams 8 --fps 15 --seconds 10]

Frames of a drawn 720p scene go through HAProxy, with the configuration of `deploy/compose`, to a server with the dummy.
Without TLS. Needs haproxy.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from service.bench.figures import figures
from service.bench.film import drawn
from service.bench.load import Generator, Load
from tests.edge import Edge
from tests.end_to_end.processes import ServerProcess


def cpu_s(pid: int) -> float:
    """Processor time that a process and its children have used so far."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    threads = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(each.read_text().split()[0]) for each in threads) / 1e9 + sum(
        cpu_s(int(child)) for child in children
    )


def main() -> None:
    """Measures and prints a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--streams", type=int, default=8)
    options.add_argument("--fps", type=float, default=15.0)
    options.add_argument("--seconds", type=float, default=10.0)
    chosen = options.parse_args()
    film = drawn(1280, 720)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        server = ServerProcess(folder / "server.log", limits__min_fps=0).ready()
        edge = Edge(folder, [server.port])
        try:
            load = Load(edge.http, chosen.streams, chosen.fps, chosen.seconds)
            before_s = cpu_s(edge.pid)
            found = figures(asyncio.run(Generator(load, film).run()))
            used_s = cpu_s(edge.pid) - before_s
        finally:
            edge.end()
            server.end()
    received = found.counters["received"]
    shown = Table("frames", "kB a frame", "CPU a frame, us", "CPU a megabyte, ms")
    megabytes = received * film.mean_bytes / 1e6
    shown.add_row(
        str(received),
        f"{film.mean_bytes / 1e3:.0f}",
        f"{used_s / received * 1e6:.0f}",
        f"{used_s / megabytes * 1e3:.2f}",
    )
    console = Console(width=120)
    console.print(shown)
    console.print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
