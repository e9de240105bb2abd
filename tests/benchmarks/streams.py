"""What the measurements of streams share: a server in a process of its own, a steady client, frames, statistics."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from models.geometry import Box
from service.protocol.header import Flag, FrameHeader, Kind
from tests.drawing import Drawing, jpeg

FPS = 30.0
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Film:
    """Files of frames in the order in which they are sent, and the target's box in the first one."""

    name: str
    files: Sequence[bytes]
    box: Box


async def play(url: str, film: Film, count: int, *, mode: str, drain: bool) -> list[dict[str, Any]]:
    """Sends `count` frames at FPS, round and round. Every result, with `sent_s`, seconds since the start, and
    `client_age_ms`, from before its frame was handed to the socket until the result was read.

    With `drain` it waits for an answer to each frame, else it leaves with the last frame."""
    target = {"id": "t", "box": list(film.box.xywh())}
    async with connect(f"{url}/v1/stream", max_size=None) as socket:
        await socket.send(json.dumps({"type": "hello", "create": {"mode": mode, "targets": [target]}}))
        await socket.recv()
        results: list[dict[str, Any]] = []
        began = perf_counter()
        reader = asyncio.create_task(_collect(socket, results, began, count))
        for seq in range(1, count + 1):
            await asyncio.sleep(max(0.0, began + (seq - 1) / FPS - perf_counter()))
            header = FrameHeader(Kind.FULL, Flag.TS_VALID, seq, 0, 0, int(perf_counter() * 1e6), 0, 0, 0, 0)
            await socket.send(header.packed() + film.files[(seq - 1) % len(film.files)])
        if not drain:
            await socket.send(json.dumps({"type": "bye"}))
        async with asyncio.timeout(120):
            await reader
    return results


async def _collect(socket: ClientConnection, results: list[dict[str, Any]], began: float, expected: int) -> None:
    """Keeps the results, until every frame has a result or was refused, or the server closes."""
    answers = 0
    async for text in socket:
        now = perf_counter()
        message = json.loads(text)
        if message["type"] == "result":
            message["client_age_ms"] = now * 1e3 - message["ts_us"] / 1e3
            message["sent_s"] = message["ts_us"] / 1e6 - began
            results.append(message)
        answers += message["type"] in ("result", "error")
        if answers >= expected:
            return


@contextmanager
def served(model: str) -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its address and process id."""
    program = "from service.settings import load_settings; from service.server import run; run(load_settings())"
    settings = {"LOCKON_MODELS__DEFAULT": model, "LOCKON_SERVER__PORT": "0", "LOCKON_SERVER__LOG_LEVEL": "warning"}
    # A pause of this machine must not cost a frame: what is measured is the age, not the size of the queue.
    settings["LOCKON_LIMITS__MUST_QUEUE"] = "64"
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, env=os.environ | settings, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().rpartition(" ")[2].strip()
        try:
            assert address.startswith("http"), "the server did not start"
            yield address.replace("http", "ws", 1), process.pid
        finally:
            process.terminate()


def cpu_times_s(pid: int) -> tuple[float, float]:
    """CPU time that a server has used so far: its first thread, which runs the event loop, and all the others."""
    loop_s = others_s = 0.0
    for task in Path(f"/proc/{pid}/task").iterdir():
        fields = (task / "stat").read_text(encoding="ascii").rpartition(")")[2].split()
        seconds = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        if int(task.name) == pid:
            loop_s += seconds
        else:
            others_s += seconds
    return loop_s, others_s


def percentiles(values: Sequence[float]) -> Figures:
    """Median and 99th percentile."""
    return {"p50": round(float(np.percentile(values, 50)), 2), "p99": round(float(np.percentile(values, 99)), 2)}


def real_film(sequence: Path, width: int, height: int, file_bytes: int, count: int = 120) -> Film:
    """A sequence's pictures scaled to that size, at the JPEG quality that makes its first file about that large.

    It goes to and fro, so that the target never jumps."""
    paths = sorted((sequence / "img").glob("*.jpg"))[:count]
    pictures = [_scaled(path, width, height) for path in paths]
    x, y, w, h = np.loadtxt(sequence / "groundtruth.txt", delimiter=",", ndmin=2)[0]
    original = cv2.imread(str(paths[0]), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert original is not None
    across, down = width / original.shape[1], height / original.shape[0]
    quality = min(range(50, 100, 3), key=lambda tried: abs(len(jpeg(pictures[0], tried)) - file_bytes))
    files = [jpeg(picture, quality) for picture in pictures]
    box = Box(float(x) * across, float(y) * down, float(w) * across, float(h) * down)
    return Film(f"{sequence.name} {width}x{height} q{quality}", files + files[-2:0:-1], box)


def drawn_film(width: int, height: int, side: int) -> Film:
    """A moving square over noise, for where no pictures are at hand."""
    drawing = Drawing(width=width, height=height, side=side)
    files = list(drawing.jpegs(60))
    return Film(f"drawn {width}x{height}", files + files[-2:0:-1], drawing.box(0))


def _scaled(path: Path, width: int, height: int) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert picture is not None, f"{path} cannot be read"
    larger = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
    # Scaling up leaves no grain, which a camera's picture has and which makes a good part of its file.
    grain = np.random.default_rng(len(path.name)).normal(0, 3, (height, width, 1))
    return np.clip(larger + grain, 0, 255).astype(np.uint8)
