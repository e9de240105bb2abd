"""Measures the way of a frame through a real server and socket: `python -m tests.benchmarks.stream_latency --help`.

live       one 720p stream at 30 frames/s: age, the model's own time, the difference; the time and CPU of each stage
sequences  every sequence of a folder at 30 frames/s, must-process: boxes and success AUC beside the offline tracker's
overload   30 frames/s into a step of 50 ms: age stays flat; in mode `every` (the control case) it grows instead
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from models.frames import Picture
from models.geometry import Box
from models.package import load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray, Runtime
from models.tracker import Tracker
from service.engine.decoding import HostDecoder
from service.engine.models import Loader
from service.protocol.header import read_frame
from service.settings import Settings, load_settings
from service.telemetry.logs import configure_logs
from tests.benchmarks.streams import (
    FPS,
    Figures,
    Film,
    cpu_times_s,
    drawn_film,
    percentiles,
    play,
    real_film,
    served,
)
from tests.end_to_end.conftest import RunningServer

STAGES = ("wait", "decode", "prep", "infer", "post", "send_wait")
WARM_UP_S = 2.0
INTERVAL_S = 10.0
DEFINITIONS = {
    "age_ms": "from before the client hands a frame to its socket until it has read the result, on the client's clock",
    "model_ms": "stages prep (cut the search regions) and infer (run the graph): the model's own time",
    "beyond_ms": "age_ms - model_ms, frame by frame: socket, header, waiting, decoding, state, JSON",
    "cpu_ms_per_frame": "CPU time of the server: `loop` its event loop's thread, `workers` all others",
}


class SlowRuntime:
    """Obeys the port; every search takes `step_s` longer."""

    name = "slow"

    def __init__(self, inner: Runtime, step_s: float) -> None:
        self._inner = inner
        self._step_s = step_s
        self.device, self.precision = inner.device, inner.precision

    def template(self, crops: ByteArray) -> list[Features]:
        """As the inner one."""
        return self._inner.template(crops)

    def joined(self, templates: Sequence[Features]) -> Features:
        """As the inner one."""
        return self._inner.joined(templates)

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        """As the inner one, later."""
        time.sleep(self._step_s)
        return self._inner.search(features, crops, size, loop)


def measure_live(model: str, seconds: float, film: Film) -> Figures:
    """One stream on this machine; the first seconds are not counted."""
    count = round((WARM_UP_S + seconds) * FPS)

    async def run(url: str, pid: int) -> tuple[list[dict[str, Any]], float, float]:
        playing = asyncio.create_task(play(url, film, count, mode="latest", drain=False))
        await asyncio.sleep(WARM_UP_S)
        before = cpu_times_s(pid)
        await asyncio.sleep(seconds)
        after = cpu_times_s(pid)
        return await playing, after[0] - before[0], after[1] - before[1]

    with served(model) as (url, pid):
        results, loop_s, workers_s = asyncio.run(run(url, pid))
    counted = [result for result in results if result["sent_s"] >= WARM_UP_S]
    assert counted, "no frame was answered after the warm-up"
    model_ms = [result["timings"]["prep"] + result["timings"]["infer"] for result in counted]
    ages = [result["client_age_ms"] for result in counted]
    sent = round(seconds * FPS)
    return {
        "definitions": DEFINITIONS,
        "frames": film.name,
        "file_kb": round(float(np.mean([len(file) for file in film.files])) / 1e3, 1),
        "sent": sent,
        "answered": len(counted),
        "dropped": counted[-1]["dropped_total"] - next(r for r in results if r["sent_s"] >= WARM_UP_S)["dropped_total"],
        "age_ms": percentiles(ages),
        "model_ms": percentiles(model_ms),
        "beyond_ms": percentiles([age - own for age, own in zip(ages, model_ms, strict=True)]),
        "stage_ms": {stage: percentiles([r["timings"][stage] for r in counted]) for stage in STAGES},
        "cpu_ms_per_frame": {"loop": round(loop_s * 1e3 / sent, 2), "workers": round(workers_s * 1e3 / sent, 2)},
        "states": {state: sum(r["targets"][0]["state"] == state for r in counted) for state in ("tracking", "lost")},
    }


def measure_sequences(model: str, folder: Path, limit: int | None, frames: int | None) -> Figures:
    """Every sequence over the socket and offline."""
    tracker, decoder = load_tracker(model), HostDecoder()
    rows: list[Figures] = []
    with served(model) as (url, _):
        for sequence in sorted(path.parent for path in folder.glob("*/groundtruth.txt"))[:limit]:
            files = [path.read_bytes() for path in sorted((sequence / "img").glob("*.jpg"))[:frames]]
            truth = np.loadtxt(sequence / "groundtruth.txt", delimiter=",", ndmin=2)[: len(files)]
            film = Film(sequence.name, files, Box(*map(float, truth[0])))
            results = asyncio.run(play(url, film, len(files), mode="every", drain=True))
            offline = offline_boxes(tracker, decoder, film, {each["seq"]: each["ts_us"] / 1e6 for each in results})
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
    from training.evaluation.metrics import score

    streamed = np.array([result["targets"][0]["box"] for result in results])
    complete = len(streamed) == len(offline)
    ages = [round(result["client_age_ms"], 2) for result in results]
    return {
        "answered": len(results),
        "auc_stream": round(score(streamed, truth).auc, 4) if complete else None,
        "auc_offline": round(score(offline, truth).auc, 4),
        "largest_difference_px": float(np.abs(streamed - offline).max()) if complete else None,
        "age_ms": percentiles(ages),
        "ages_ms": ages,
    }


def offline_boxes(tracker: Tracker, decoder: HostDecoder, film: Film, times_s: Mapping[int, float]) -> np.ndarray:
    """(N, 4) boxes x, y, w, h of the tracker without any service; `times_s`: the stamps that frames were sent with, by
    their numbers, from 1 on: the states go by them."""
    boxes = [film.box.xywh()]
    target = None
    for seq, file in enumerate(film.files, 1):
        pixels = decoder.decode(read_frame(file, -1, 10**8, 0.0))
        if target is None:
            target = tracker.start(pixels, film.box)
        else:
            boxes.append(tracker.follow(target, Picture.of(pixels, times_s.get(seq))).box.xywh())
    return np.array(boxes)


def measure_overload(seconds: float, step_s: float) -> Figures:
    """The same load on the newest-frame slot and, as the control case, on a queue without an end."""
    configure_logs("warning", "auto")
    film = drawn_film(640, 360, 40)
    fast = load_tracker("dummy")
    loader: Loader = lambda _name: Tracker(fast.spec, SlowRuntime(fast.runtime, step_s))  # noqa: E731
    figures: Figures = {"step_ms": step_s * 1e3, "frames_per_s": FPS, "seconds": seconds}
    for name, mode in (("newest_wins", "latest"), ("fifo_control", "every")):
        server = RunningServer(_endless_queue(), loader)
        try:
            results = asyncio.run(play(server.ws, film, round(seconds * FPS), mode=mode, drain=False))[1:]
        finally:
            server.stop()
        # When a result came, not when its frame was sent: with a queue that is the later half of the story.
        came_s = np.array([result["sent_s"] + result["client_age_ms"] / 1e3 for result in results])
        ages = np.array([result["client_age_ms"] for result in results])
        figures[name] = {
            "answered": len(results),
            "dropped": results[-1]["dropped_total"],
            "age_ms": percentiles(ages.tolist()),
            "slope_ms_per_s": round(float(np.polyfit(came_s, ages, 1)[0]), 2),
            "median_age_ms_by_time": _by_interval(came_s, ages, seconds),
        }
    return figures


def _endless_queue() -> Settings:
    """Settings beyond what is allowed: the control case is what the limits are there to prevent."""
    settings = load_settings({"models": {"default": "dummy"}, "engine": {"workers": 1}})
    limits = settings.limits.model_copy(update={"must_queue": 10**6, "must_queue_bytes": 10**10})
    return settings.model_copy(update={"limits": limits})


def _by_interval(came_s: np.ndarray, ages: np.ndarray, seconds: float) -> Figures:
    """Median age of the results that came within each interval."""
    figures: Figures = {}
    for begin in np.arange(0.0, seconds, min(INTERVAL_S, seconds / 3)):
        end = begin + min(INTERVAL_S, seconds / 3)
        inside = ages[(came_s >= begin) & (came_s < end)]
        if len(inside):
            figures[f"{begin:.0f}-{end:.0f} s"] = round(float(np.median(inside)), 1)
    return figures


def table(figures: Figures, indent: str = "") -> str:
    """The figures as indented text, rows of sequences left out."""
    lines = []
    for name, value in figures.items():
        if name == "rows":
            continue
        if isinstance(value, dict) and any(isinstance(inner, dict | str) for inner in value.values()):
            lines += [f"{indent}{name}", table(value, indent + "  ")]
        else:
            shown = "  ".join(f"{k} {v}" for k, v in value.items()) if isinstance(value, dict) else value
            lines.append(f"{indent}{name:<24} {shown}")
    return "\n".join(lines)


def live_film(folder: Path, sequence: str) -> Film:
    """Real pictures where there are any, else drawn ones; the output says which."""
    if (folder / sequence / "groundtruth.txt").is_file():
        return real_film(folder / sequence, 1280, 720, 100_000)
    print(f"no sequence {sequence} in {folder}: drawn frames instead", file=sys.stderr)  # noqa: T201
    return drawn_film(1280, 720, 90)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("live", "sequences", "overload", "all"))
    parser.add_argument("--model", default="siamfcpp_light", help="model of live and sequences")
    parser.add_argument("--seconds", type=float, help="length: 30 for live, 60 for overload")
    parser.add_argument("--step-ms", type=float, default=50.0, help="time of the artificial step of overload")
    parser.add_argument("--folder", type=Path, default=Path("shared/data/eval"), help="sequences")
    parser.add_argument("--sequence", default="car4_road", help="whose pictures live is made from")
    parser.add_argument("--limit", type=int, help="at most so many sequences")
    parser.add_argument("--frames", type=int, help="at most so many frames of each")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    options = parser.parse_args()
    figures: Figures = {
        "machine": {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "load_before": [round(load, 2) for load in os.getloadavg()],
        "model": options.model,
    }
    if options.what in ("live", "all"):
        film = live_film(options.folder, options.sequence)
        figures["live"] = measure_live(options.model, options.seconds or 30.0, film)
    if options.what in ("overload", "all"):
        figures["overload"] = measure_overload(options.seconds or 60.0, options.step_ms / 1e3)
    if options.what in ("sequences", "all"):
        figures["sequences"] = measure_sequences(options.model, options.folder, options.limit, options.frames)
    print(table(figures))  # noqa: T201
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
