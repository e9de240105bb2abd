"""How many 720p streams at 30 frames/s a machine carries, by CPU time per frame and, with `--live`, by trying.

    python -m tests.benchmarks.capacity                       # every subject in turns, in random order
    python -m tests.benchmarks.capacity --live                # and how many streams at once keep p99 age under 100 ms
    python -m tests.benchmarks.capacity --rounds 2 --frames 10

Subjects: Lockon with full decode, with region decode and with windows cut and scaled down by the client, and the last
two with a cadence (the network looks at one frame in four at least); OpenCV's TrackerNano and an
eager torch loop, both with `cv2.imdecode`, without any network connection and one process per stream.
CPU ms: all threads of the server's process for one frame; `x Nano` is the median over the rounds of TrackerNano's in
the same round divided by it. The films have search windows of 15, 30 and 50 % of the frame's width, in equal parts.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from rich.console import Console
from rich.table import Table

from models.importing import import_checkpoint
from models.package import DEFAULT_MODEL, find_package
from tests.benchmarks.camera_streams import (
    STAGES,
    LockonServer,
    closed_loop,
    lockon_server,
    paced,
)
from tests.benchmarks.capacity_peers import PeerProcess, opencv_nano, torch_eager
from tests.benchmarks.films import SHARES, Shots, embedded
from tests.benchmarks.wire import percentile
from tests.conftest import SHARED
from tests.nanotrack import checkpoint, onnx_pair

FPS = 30.0
WARM_UP = 5
"""Frames of each stream before a turn is measured."""
LARGEST_AGE_MS = 100.0
LEAST_SHARE = 0.99
"""Answers per frame that a stream must get to count as carried."""
NANO = "OpenCV TrackerNano v2, imdecode"
WITHOUT_REGIONS = "import service.engine.decoding as decoding\ndecoding.REGIONS = False"


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn of a subject: CPU milliseconds of a frame by part, and what else there is to say."""

    cpu_ms: float
    parts: dict[str, float]
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Subject:
    """Something that follows streams: `turn` measures some frames, `carries` tries so many streams for so long."""

    name: str
    turn: Callable[[int], Sample]
    carries: Callable[[int, float], tuple[float, float]]
    """share answered, p99 age in ms"""


def lockon(
    name: str,
    server: LockonServer,
    model: str,
    films: Sequence[Shots],
    *,
    windows: bool,
    cadence: int | None = None,
) -> Subject:
    """Lockon with one of its models."""

    def turn(frames: int) -> Sample:
        streams = server.streams(model, films, len(films), windows=windows, cadence=cadence)
        closed_loop(streams, WARM_UP)
        before = server.cpu_s()
        answered = closed_loop(streams, frames)
        loop_s, workers_s = server.spent_s(before)
        for stream in streams:
            stream.wire.close()
        each_ms = 1e3 / len(answered.ages_ms)
        parts = {"loop": loop_s * each_ms, "workers": workers_s * each_ms}
        facts = {"kb": answered.bytes / answered.sent / 1e3, "states": answered.states}
        return Sample(sum(parts.values()), parts, facts | {stage: answered.stage_ms(stage) for stage in STAGES})

    def carries(count: int, seconds: float) -> tuple[float, float]:
        many = server.streams(model, films, count, windows=windows, cadence=cadence)
        try:
            paced(many, 1.0, FPS)
            answered = paced(many, seconds, FPS)
        finally:
            for stream in many:
                stream.wire.close()
        return answered.share, answered.p99_ms

    return Subject(name, turn, carries)


def peer(name: str, kind: Callable[[Path], Any], folder: Path, films: Sequence[Shots], stack: ExitStack) -> Subject:
    """A loop in a process of its own for each stream."""
    process = PeerProcess(kind, folder, [shots.film for shots in films])
    stack.callback(process.stop)

    def turn(frames: int) -> Sample:
        spent = process.spend(frames)
        parts = {"decode": spent.decode_ms, "track": spent.track_ms}
        return Sample(sum(parts.values()), parts, {})

    def carries(count: int, seconds: float) -> tuple[float, float]:
        many = [PeerProcess(kind, folder, [films[i % len(films)].film]) for i in range(count)]
        began = perf_counter() + 0.2
        for index, one in enumerate(many):
            one.begin(began + index / FPS / count, seconds, FPS)
        kept = [one.kept() for one in many]
        for one in many:
            one.stop()
        ages = [age for each in kept for age in each.ages_ms]
        return len(ages) / sum(each.sent for each in kept), percentile(ages, 0.99)

    return Subject(name, turn, carries)


@contextmanager
def subjects(
    names: Sequence[str], films: Sequence[Shots], runtimes: Sequence[str], workers: int, cadence: int
) -> Iterator[list[Subject]]:
    """Everything that is compared, ready."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folders = {name: _package(name, scratch) for name in names}
        chosen = [peer(NANO, opencv_nano, onnx_pair("nanotrack_v2")[0].parent, films, stack)]
        for name, folder in folders.items():
            chosen.append(peer(f"torch eager {name}, imdecode", torch_eager, folder, films, stack))
        paths = [str(folder) for folder in folders.values()]
        for runtime in runtimes:
            kind, _, precision = runtime.partition("-")
            settings = {"LOCKON_MODELS__RUNTIME": kind, "LOCKON_MODELS__PRECISION": precision or "auto"}
            settings["LOCKON_ENGINE__WORKERS"] = str(workers)
            whole = stack.enter_context(lockon_server(paths, settings, WITHOUT_REGIONS))
            server = stack.enter_context(lockon_server(paths, settings))
            for name in folders:
                title = f"Lockon {name} {runtime}"
                chosen += [
                    lockon(f"{title}, full decode", whole, name, films, windows=False),
                    lockon(f"{title}, region decode", server, name, films, windows=False),
                    lockon(f"{title}, client windows", server, name, films, windows=True),
                    lockon(f"{title}, region, cadence {cadence}", server, name, films, windows=False, cadence=cadence),
                    lockon(f"{title}, windows, cadence {cadence}", server, name, films, windows=True, cadence=cadence),
                ]
        yield chosen


def _package(name: str, scratch: Path) -> Path:
    if name.startswith("nanotrack"):
        return import_checkpoint([checkpoint(name)], scratch).package.folder
    return find_package(name).folder


def carried(subject: Subject, guess: int, seconds: float) -> tuple[int, float]:
    """The largest number of streams that are carried, and their p99 age; each number is tried for that long."""
    tried: dict[int, tuple[bool, float]] = {}

    def good(count: int) -> bool:
        if count not in tried:
            share, p99_ms = subject.carries(count, seconds)
            tried[count] = (share >= LEAST_SHARE and p99_ms < LARGEST_AGE_MS, p99_ms)
        return tried[count][0]

    count = max(1, guess)
    while count > 0 and not good(count):
        count -= 1
    while count > 0 and good(count + 1):
        count += 1
    return count, tried[count][1] if count else float("nan")


def table(samples: dict[str, list[Sample]], lives: dict[str, tuple[int, float]], cores: int) -> Table:
    """One row for each subject."""
    shown = Table(
        "subject",
        "CPU ms",
        "x Nano",
        "streams/core",
        f"{cores} cores",
        "parts, CPU ms",
        "stages, ms",
        "kB",
        "live (p99 ms)",
    )
    for name, taken in samples.items():
        ms = median(sample.cpu_ms for sample in taken)
        ratio = median(nano.cpu_ms / own.cpu_ms for own, nano in zip(taken, samples[NANO], strict=True))
        parts = {part: median(sample.parts[part] for sample in taken) for part in taken[0].parts}
        stages = {s: median(sample.facts[s] for sample in taken) for s in STAGES if s in taken[0].facts}
        live = lives.get(name)
        shown.add_row(
            name,
            f"{ms:.2f}",
            f"{ratio:.2f}",
            f"{1000 / ms / FPS:.2f}",
            f"{cores * 1000 / ms / FPS:.1f}",
            " ".join(f"{part} {value:.2f}" for part, value in parts.items()),
            " ".join(f"{stage} {value:.2f}" for stage, value in stages.items()),
            f"{taken[0].facts['kb']:.0f}" if "kb" in taken[0].facts else "",
            f"{live[0]} ({live[1]:.0f})" if live else "",
        )
    return shown


def main() -> None:
    """Measures and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", nargs="+", default=["nanotrack_v2", "nanotrack_v3", DEFAULT_MODEL])
    options.add_argument("--runtimes", nargs="+", default=["auto"], help="e.g. onnxruntime openvino-f32 openvino-bf16")
    options.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="of Lockon; by default one a core")
    options.add_argument("--cadence", type=int, default=4, help="of the rows that have one")
    options.add_argument("--rounds", type=int, default=9)
    options.add_argument("--frames", type=int, default=40, help="frames of each film in a turn")
    options.add_argument("--kb", type=float, default=100.0, help="size of a frame's file")
    options.add_argument("--live", type=float, default=0.0, metavar="SECONDS", help="also try numbers of live streams")
    options.add_argument("--only", default="", help="only subjects whose name has this, and TrackerNano")
    options.add_argument("--json", type=Path, help="write the samples here as well")
    chosen = options.parse_args()
    eval_folder = SHARED / "data" / "eval"
    films = [embedded(eval_folder / name, share, round(chosen.kb * 1e3), 60) for name, share in SHARES.items()]
    order = random.Random(1)
    cores = os.cpu_count() or 1
    lives: dict[str, tuple[int, float]] = {}
    with subjects(chosen.models, films, chosen.runtimes, chosen.workers, chosen.cadence) as everything:
        compared = [one for one in everything if chosen.only in one.name or one.name == NANO]
        samples: dict[str, list[Sample]] = {subject.name: [] for subject in compared}
        for _ in range(chosen.rounds):
            for subject in order.sample(compared, len(compared)):
                samples[subject.name].append(subject.turn(chosen.frames))
        if chosen.live:
            for subject in compared:
                guess = cores * 1000 / FPS / median(sample.cpu_ms for sample in samples[subject.name])
                lives[subject.name] = carried(subject, round(guess * 0.8), chosen.live)
    console = Console(width=220)
    for shots in films:
        console.print(
            f"{shots.film.name}: {sum(map(len, shots.film.files)) / len(shots.film.files) / 1e3:.0f} kB a frame"
        )
    console.print(f"load of the machine: {os.getloadavg()[0]:.1f}")
    console.print(table(samples, lives, cores))
    if chosen.json:
        lines = {name: [vars_of(sample) for sample in taken] for name, taken in samples.items()}
        chosen.json.write_text(json.dumps({"samples": lines, "live": lives}, indent=1), encoding="utf-8")


def vars_of(sample: Sample) -> dict[str, Any]:
    """A sample as JSON has it."""
    return {"cpu_ms": sample.cpu_ms, "parts": sample.parts, "facts": sample.facts}


if __name__ == "__main__":
    main()
