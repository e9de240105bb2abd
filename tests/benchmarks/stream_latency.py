"""Measures the way of a frame through a real server and socket: `python -m tests.benchmarks.stream_latency --help`.

live       one 720p stream at 30 frames/s: age beyond the model's own time, and the time of each stage
sequences  every sequence of a folder at 30 frames/s, must-process: boxes and success AUC beside the offline tracker's
overload   30 frames/s into a step of 50 ms: age stays flat; in mode `every` (the control case) it grows instead
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from models.geometry import Box
from models.package import load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray, Runtime
from models.tracker import Tracker
from service.app import Loader
from service.engine.decoding import HostDecoder
from service.protocol.header import Flag, FrameHeader, Kind, read_frame
from service.settings import load_settings
from tests.drawing import Drawing
from tests.end_to_end.conftest import RunningServer

FPS = 30.0
STAGES = ("wait", "decode", "prep", "infer", "post", "send_wait")
Figures = dict[str, Any]


class SlowRuntime:
    """Obeys the port; every search takes `step_s` longer."""

    name = "slow"

    def __init__(self, inner: Runtime, step_s: float) -> None:
        self._inner = inner
        self._step_s = step_s
        self.device = inner.device

    def template(self, crops: ByteArray) -> list[Features]:
        """As the inner one."""
        return self._inner.template(crops)

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        """As the inner one, later."""
        time.sleep(self._step_s)
        return self._inner.search(features, crops, size, loop)


async def play(url: str, files: Sequence[bytes], box: Box, *, mode: str, fps: float = FPS) -> list[dict[str, Any]]:
    """Sends the files at a steady rate; every result, with `client_age_ms` from sending to receipt."""
    target = {"id": "t", "box": list(box.xywh())}
    async with connect(f"{url}/v1/stream", max_size=None) as socket:
        await socket.send(json.dumps({"type": "hello", "create": {"mode": mode, "targets": [target]}}))
        await socket.recv()
        results: list[dict[str, Any]] = []
        answered = asyncio.Event()
        reader = asyncio.create_task(_collect(socket, results, len(files), answered))
        began = perf_counter()
        for seq, file in enumerate(files, 1):
            await asyncio.sleep(max(0.0, began + (seq - 1) / fps - perf_counter()))
            ts_us = int(perf_counter() * 1e6)
            header = FrameHeader(Kind.FULL, Flag.TS_VALID, seq, 0, 0, ts_us, 0, 0, 0, 0)
            await socket.send(header.packed() + file)
        if mode == "every":
            async with asyncio.timeout(60):
                await answered.wait()
        await socket.send(json.dumps({"type": "bye"}))
        await reader
    return results


async def _collect(
    socket: ClientConnection, results: list[dict[str, Any]], expected: int, answered: asyncio.Event
) -> None:
    """Keeps the results; sets the event once every frame has a result or was refused."""
    answers = 0
    async for text in socket:
        answers += text.startswith(('{"type":"result"', '{"type":"error"'))  # type: ignore[arg-type]
        if answers >= expected:
            answered.set()
        message = json.loads(text)
        if message["type"] == "result":
            message["client_age_ms"] = (perf_counter() * 1e6 - message["ts_us"]) / 1e3
            results.append(message)


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
            yield address.replace("http", "ws", 1), process.pid
        finally:
            process.terminate()


def cpu_time_s(pid: int) -> float:
    """CPU time that a process has used so far, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentiles(values: Sequence[float]) -> Figures:
    """Median and 99th percentile."""
    return {"p50": round(float(np.percentile(values, 50)), 2), "p99": round(float(np.percentile(values, 99)), 2)}


def measure_live(model: str, seconds: float) -> Figures:
    """One 720p stream on this machine."""
    drawing = Drawing(width=1280, height=720, side=90)
    files = list(drawing.jpegs(60)) * max(1, round(seconds * FPS / 60))
    with served(model) as (url, pid):
        cpu_s = cpu_time_s(pid)
        results = asyncio.run(play(url, files, drawing.box(0), mode="latest"))[1:]
        cpu_s = cpu_time_s(pid) - cpu_s
    beyond = [result["client_age_ms"] - result["timings"]["infer"] for result in results]
    stages = {stage: percentiles([result["timings"][stage] for result in results]) for stage in STAGES}
    return {
        "frames": len(files),
        "answered": len(results) + 1,
        "age_beyond_model_ms": percentiles(beyond),
        "age_ms": percentiles([result["client_age_ms"] for result in results]),
        "stages_ms": stages,
        "server_cpu_ms_per_frame": round(cpu_s * 1e3 / len(files), 2),
    }


def measure_sequences(model: str, folder: Path, limit: int | None, frames: int | None) -> Figures:
    """Every sequence over the socket and offline."""
    tracker, decoder = load_tracker(model), HostDecoder()
    rows: list[Figures] = []
    with served(model) as (url, _):
        for sequence in sorted(path.parent for path in folder.glob("*/groundtruth.txt"))[:limit]:
            files = [path.read_bytes() for path in sorted((sequence / "img").glob("*.jpg"))[:frames]]
            truth = np.loadtxt(sequence / "groundtruth.txt", delimiter=",", ndmin=2)[: len(files)]
            box = Box(*map(float, truth[0]))
            results = asyncio.run(play(url, files, box, mode="every"))
            offline = offline_boxes(tracker, decoder, files, box)
            rows.append({"sequence": sequence.name, "frames": len(files)} | compared(results, offline, truth))
            print(sequence.name, rows[-1]["largest_difference_px"], rows[-1]["age_ms"], file=sys.stderr)  # noqa: T201
    ages = [age for row in rows for age in row.pop("ages_ms")]
    whole = [row for row in rows if row["auc_stream"] is not None]
    return {
        "sequences": len(rows),
        "complete": len(whole),
        "auc_stream": round(float(np.mean([row["auc_stream"] for row in whole])), 4) if whole else None,
        "auc_offline": round(float(np.mean([row["auc_offline"] for row in rows])), 4),
        "largest_difference_px": max((row["largest_difference_px"] for row in whole), default=None),
        "age_ms": percentiles(ages),
        "rows": rows,
    }


def compared(results: Sequence[dict[str, Any]], offline: np.ndarray, truth: np.ndarray) -> Figures:
    """The figures of one sequence; those of the stream are None where frames were refused."""
    from training.evaluation.metrics import success_auc

    streamed = np.array([result["targets"][0]["box"] for result in results])
    complete = len(streamed) == len(offline)
    ages = [round(result["client_age_ms"], 2) for result in results]
    return {
        "answered": len(results),
        "auc_stream": round(success_auc(streamed, truth), 4) if complete else None,
        "auc_offline": round(success_auc(offline, truth), 4),
        "largest_difference_px": float(np.abs(streamed - offline).max()) if complete else None,
        "age_ms": percentiles(ages),
        "ages_ms": ages,
    }


def offline_boxes(tracker: Tracker, decoder: HostDecoder, files: Sequence[bytes], box: Box) -> np.ndarray:
    """(N, 4) boxes x, y, w, h of the tracker without any service."""
    boxes = [box.xywh()]
    target = None
    for file in files:
        picture = decoder.decode(read_frame(file, -1, 10**8, 0.0))
        if target is None:
            target = tracker.start(picture, box)
        else:
            boxes.append(tracker.follow(target, picture).box.xywh())
    return np.array(boxes)


def measure_overload(seconds: float, step_s: float) -> Figures:
    """The same load on the newest-frame slot and, as the control case, on the queue of mode `every`."""
    drawing = Drawing(width=640, height=360)
    files = list(drawing.jpegs(30)) * max(1, round(seconds * FPS / 30))
    loader: Loader = slow_loader(step_s)
    figures: Figures = {"step_ms": step_s * 1e3}
    for name, mode, queue in (("newest_wins", "latest", 8), ("fifo_control", "every", 64)):
        server = RunningServer(load_settings({"models": {"default": "dummy"}, "limits": {"must_queue": queue}}), loader)
        results = asyncio.run(play(server.ws, files, drawing.box(0), mode=mode))[1:]
        server.stop()
        ages = [result["client_age_ms"] for result in results]
        third = max(1, len(ages) // 3)
        figures[name] = {
            "answered": len(ages),
            "dropped": results[-1]["dropped_total"],
            "first_third_ms": percentiles(ages[:third]),
            "last_third_ms": percentiles(ages[-third:]),
        }
    return figures


def slow_loader(step_s: float) -> Loader:
    """The dummy model with a slow search."""
    fast = load_tracker("dummy")
    return lambda _name: Tracker(fast.spec, SlowRuntime(fast.runtime, step_s))


def table(figures: Figures, indent: str = "") -> str:
    """The figures as indented text, rows of sequences left out."""
    lines = []
    for name, value in figures.items():
        if name == "rows":
            continue
        if isinstance(value, dict) and any(isinstance(inner, dict) for inner in value.values()):
            lines += [f"{indent}{name}", table(value, indent + "  ")]
        else:
            shown = "  ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            lines.append(f"{indent}{name:<24} {shown}")
    return "\n".join(lines)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("live", "sequences", "overload", "all"))
    parser.add_argument("--model", default="siamfcpp_light", help="model of live and sequences")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of live and overload")
    parser.add_argument("--step-ms", type=float, default=50.0, help="time of the artificial step of overload")
    parser.add_argument("--folder", type=Path, default=Path("shared/data/eval"), help="sequences")
    parser.add_argument("--limit", type=int, help="at most so many sequences")
    parser.add_argument("--frames", type=int, help="at most so many frames of each")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    figures: Figures = {"machine": platform.processor() or platform.machine(), "model": options.model}
    if options.what in ("live", "all"):
        figures["live"] = measure_live(options.model, options.seconds)
    if options.what in ("overload", "all"):
        figures["overload"] = measure_overload(options.seconds, options.step_ms / 1e3)
    if options.what in ("sequences", "all"):
        figures["sequences"] = measure_sequences(options.model, options.folder, options.limit, options.frames)
    print(table(figures))  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
