"""What an installation costs: megabytes on disk, seconds from start to ready, resident memory while it follows.

    python -m tests.benchmarks.footprint --environment .venv

starts `lockon serve` of that environment on a free port with its default model, five times, and follows a drawn square.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import statistics
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import websockets

from tests.drawing import Drawing

STARTS = 5
FRAMES = 100
READY_TIMEOUT_S = 30.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def started(lockon: Path, port: int) -> tuple[subprocess.Popen[bytes], float]:
    """The server's process, and the seconds from its start to its first answer on /readyz."""
    began = time.perf_counter()
    process = subprocess.Popen([lockon, "serve", "--port", str(port)], stdout=subprocess.DEVNULL)
    while time.perf_counter() - began < READY_TIMEOUT_S:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return process, time.perf_counter() - began
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.01)
    process.kill()
    raise TimeoutError(f"not ready after {READY_TIMEOUT_S:g} s")


async def follow(port: int) -> None:
    """Follows a drawn square for FRAMES frames."""
    drawing = Drawing()
    async with websockets.connect(f"ws://127.0.0.1:{port}/v1/stream", compression=None) as stream:
        await stream.send(json.dumps({"type": "hello", "create": {"targets": [{"box": drawing.box(0).xywh()}]}}))
        for index in range(FRAMES):
            await stream.send(drawing.jpeg(index))
            while json.loads(await stream.recv())["type"] != "result":
                continue


def resident_mib(pid: int) -> float:
    """Resident memory of a process."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def size_mb(folder: Path) -> float:
    """Space that a folder takes on disk, in MB of 10^6 bytes."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*")) / 1e6


def main() -> None:
    """Measures and prints one line per number."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--environment", type=Path, default=Path(".venv"), help="virtual environment with Lockon")
    environment = options.parse_args().environment
    ready, memory = [], []
    for _ in range(STARTS):
        port = free_port()
        process, seconds = started(environment / "bin" / "lockon", port)
        try:
            asyncio.run(follow(port))
            memory.append(resident_mib(process.pid))
        finally:
            process.terminate()
            process.wait()
        ready.append(seconds)
    packages = next((environment / "lib").glob("python3*")) / "site-packages"
    pip = sum(size_mb(folder) for folder in packages.glob("pip*"))
    print(f"installed: {size_mb(packages) - pip:.0f} MB, without pip's own {pip:.0f} MB")  # noqa: T201
    print(f"start to ready: median {statistics.median(ready):.2f} s, slowest {max(ready):.2f} s")  # noqa: T201
    print(f"resident memory after {FRAMES} frames: {max(memory):.0f} MiB")  # noqa: T201


if __name__ == "__main__":
    main()
