"""What many sessions cost, whether memory grows, and who gets what under overload.

    python -m tests.benchmarks.scale sessions     # 1 to 256 sessions, idle and active: CPU, memory
    python -m tests.benchmarks.scale targets      # 1 to 8 targets in a stream, which share one decoded picture
    python -m tests.benchmarks.scale overload     # four times what the machine can do: ages, evenness
    python -m tests.benchmarks.scale steady       # what it is meant to carry: longest gaps, late frames
    python -m tests.benchmarks.scale growth       # resident memory over 100,000 frames of sessions that come and go
    python -m tests.benchmarks.scale lasting      # the same of one session, with small frames and no network
    python -m tests.benchmarks.scale handshakes   # sockets that come one right after the other, and a session with each

720p frames of about 100 kB. Active sessions send one frame at a time each, so that the server always has work.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import linear_regression
from time import perf_counter, sleep
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from models.package import DEFAULT_MODEL
from tests.benchmarks.camera_streams import LockonServer, closed_loop, lockon_server, paced
from tests.benchmarks.films import SHARES, Shots, embedded
from tests.benchmarks.wire import Wire, percentile
from tests.conftest import SHARED
from tests.drawing import Drawing

COUNTS = (1, 4, 16, 64, 256)
TARGETS = (1, 2, 4, 8)
FPS = 30.0
STEADY_STREAMS, STEADY_FPS = 4, 25.0
"""What a machine of two cores is to carry."""
DEADLINE_MS = 500.0
"""The deadline that a client may count on where it names none of its own."""


def sessions(model: str, films: Sequence[Shots], frames: int) -> Table:
    """Sessions that do nothing, and as many that send."""
    shown = Table(
        "sessions", "idle: CPU ms/s", "idle: KiB each", "active: CPU ms/frame", "active: KiB each", "frames/s"
    )
    for count in COUNTS:
        with lockon_server([model], {}) as server:
            warm = server.streams(model, films, 1, windows=False)
            closed_loop(warm, 20)
            empty_kib = resident_kib(server)
            many = server.streams(model, films, count, windows=False)
            before, began = server.cpu_s(), perf_counter()
            sleep(2.0)
            idle_ms = sum(server.spent_s(before)) / (perf_counter() - began) * 1e3
            idle_kib = resident_kib(server)
            closed_loop(many, 2)
            before, began = server.cpu_s(), perf_counter()
            answered = len(closed_loop(many, max(2, frames // count)).ages_ms)
            seconds = perf_counter() - began
            frame_ms = sum(server.spent_s(before)) / answered * 1e3
            each = [(kib - empty_kib) / count for kib in (idle_kib, resident_kib(server))]
        shown.add_row(
            str(count),
            f"{idle_ms:.1f}",
            f"{each[0]:.0f}",
            f"{frame_ms:.2f}",
            f"{each[1]:.0f}",
            f"{answered / seconds:.0f}",
        )
    return shown


def targets(model: str, films: Sequence[Shots], frames: int) -> Table:
    """One stream with several targets: side by side, and two of them in opposite corners of the picture."""
    shown = Table("targets", "where", "CPU ms/frame", "decode ms", "infer ms", "CPU ms/target")
    with lockon_server([model], {}) as server:
        for count in TARGETS:
            for where, boxes in layouts(films[0], count):
                stream = server.streams(model, films[:1], 1, windows=False, boxes=boxes)
                closed_loop(stream, 10)
                before = server.cpu_s()
                answered = closed_loop(stream, frames)
                frame_ms = sum(server.spent_s(before)) / len(answered.ages_ms) * 1e3
                stages = (answered.stage_ms("decode"), answered.stage_ms("infer"))
                cells = (frame_ms, *stages, frame_ms / count)
                shown.add_row(str(count), where, *(f"{value:.2f}" for value in cells))
    return shown


def layouts(shots: Shots, count: int) -> Iterator[tuple[str, list[list[float]]]]:
    """Boxes for so many targets; the first one is the film's."""
    x, y, w, h = shots.film.box.xywh()
    yield "close", [[x + 20.0 * i, y + 10.0 * i, w, h] for i in range(count)]
    if count > 1:
        yield "far apart", [[40.0 + 1100.0 * (i % 2), 40.0 + 80.0 * i, w, h] for i in range(count)]


def overload(model: str, films: Sequence[Shots], seconds: float) -> Table:
    """As many streams at 30 frames/s as are four times too many."""
    shown = Table(
        "streams", "offered/s", "answered/s", "p50 age, ms", "p99 age, ms", "most / fewest answers", "step ms"
    )
    with lockon_server([model], {}) as server:
        few = server.streams(model, films, 2, windows=False)
        closed_loop(few, 20)
        began = perf_counter()
        per_s = len(closed_loop(few, 60).ages_ms) / (perf_counter() - began)
        for stream in few:
            stream.wire.close()
        count = max(4, round(4 * per_s / FPS))
        many = server.streams(model, films, count, windows=False)
        paced(many, 1.0, FPS)
        each = [stream.answers for stream in many]
        answered = paced(many, seconds, FPS)
        results = [stream.answers - earlier for stream, earlier in zip(many, each, strict=True)]
        step_ms = sum(answered.stage_ms(stage) for stage in ("decode", "prep", "infer", "post"))
        shown.add_row(
            str(count),
            f"{count * FPS:.0f}",
            f"{sum(results) / seconds:.0f}",
            f"{percentile(answered.ages_ms, 0.5):.0f}",
            f"{answered.p99_ms:.0f}",
            f"{max(results)} / {min(results)} = {max(results) / max(1, min(results)):.2f}",
            f"{step_ms:.1f}",
        )
    return shown


def steady(model: str, films: Sequence[Shots], seconds: float) -> Table:
    """The streams that the machine is meant to carry: how long the client hears nothing between two results, and the
    shares of the frames that gave way to newer ones and that were answered too late."""
    shown = Table(
        "streams", "frames", "gap p50, ms", "p99.9", "longest", "without an answer", f"after {DEADLINE_MS:.0f} ms"
    )
    with lockon_server([model], {}) as server:
        many = server.streams(model, films, STEADY_STREAMS, windows=False)
        paced(many, 3.0, STEADY_FPS)
        for stream in many:
            stream.came_s.clear()
        answered = paced(many, seconds, STEADY_FPS)
    gaps_ms = [(later - earlier) * 1e3 for stream in many for earlier, later in pairwise(stream.came_s)]
    late = sum(age_ms > DEADLINE_MS for age_ms in answered.ages_ms)
    shown.add_row(
        f"{len(many)} at {STEADY_FPS:.0f}/s",
        str(answered.sent),
        f"{percentile(gaps_ms, 0.5):.1f}",
        f"{percentile(gaps_ms, 0.999):.1f}",
        f"{max(gaps_ms):.1f}",
        f"{1 - answered.share:.2%}",
        f"{late / answered.sent:.2%}",
    )
    return shown


def growth(model: str, films: Sequence[Shots], frames: int) -> Table:
    """Resident memory on the way; four sessions at a time, of twenty frames each, come and go with their targets."""

    def some(server: LockonServer) -> int:
        many = server.streams(model, films, 4, windows=False)
        answered = len(closed_loop(many, 20).ages_ms)
        for stream in many:
            stream.wire.close()
        return answered

    with lockon_server([model], {}) as server:
        return _grown(server, frames, lambda: some(server))


def lasting(frames: int) -> Table:
    """Resident memory on the way of one session with the dummy."""
    drawing = Drawing(width=96, height=96, side=24)
    files = list(drawing.jpegs(20))
    with lockon_server(["dummy"], {}) as server:
        wire = Wire(*server.address, path="/v1/stream")
        wire.say({"type": "hello", "create": {"targets": [{"box": drawing.box(0).xywh()}]}})
        wire.hear()

        def some() -> int:
            for file in files:
                wire.send(file)
                while orjson.loads(wire.hear())["type"] != "result":
                    pass
            return len(files)

        return _grown(server, frames, some)


def handshakes(count: int) -> Table:
    """Sockets alone, and sockets whose hello makes a session."""
    shown = Table("", "sockets", "a second", "CPU ms each")
    hello = {"type": "hello", "create": {}}
    with lockon_server(["dummy"], {}) as server:
        for name, greeting in (("upgrade alone", None), ("with a session", hello)):
            before, began = server.cpu_s(), perf_counter()
            wires = []
            for _ in range(count):
                wires.append(Wire(*server.address, path="/v1/stream"))
                if greeting is not None:
                    wires[-1].say(greeting)
                    wires[-1].hear()
            seconds, spent_s = perf_counter() - began, sum(server.spent_s(before))
            for wire in wires:
                wire.close()
            shown.add_row(name, str(count), f"{count / seconds:.0f}", f"{spent_s / count * 1e3:.2f}")
    return shown


def _grown(server: LockonServer, frames: int, some: Callable[[], int]) -> Table:
    """Lets `some` frames be answered until there were so many; looks ten times. The first tenth is not in the slope."""
    shown = Table("frames", "resident MiB")
    rows = [(some(), resident_kib(server) / 1024)]
    while rows[-1][0] < frames:
        done = rows[-1][0]
        while done < rows[0][0] + len(rows) * frames / 10:
            done += some()
        rows.append((done, resident_kib(server) / 1024))
    for done, mib in rows:
        shown.add_row(f"{done}", f"{mib:.1f}")
    counts, sizes = zip(*rows[1:], strict=True)
    shown.caption = f"{linear_regression(counts, sizes).slope * 1e4:+.2f} MiB in 10,000 frames"
    return shown


def resident_kib(server: LockonServer) -> int:
    """Memory that the server has in use."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0])


def main() -> None:
    """Measures what the command line names and prints a table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument(
        "what", choices=("sessions", "targets", "overload", "steady", "growth", "lasting", "handshakes")
    )
    options.add_argument("--model", default=DEFAULT_MODEL)
    options.add_argument("--frames", type=int, help="frames to measure over: 512, 100, or 100000; sockets: 500")
    options.add_argument("--seconds", type=float, default=20.0, help="length of overload and steady")
    chosen = options.parse_args()
    films = [embedded(SHARED / "data" / "eval" / name, share, 100_000, 60) for name, share in SHARES.items()]
    measures: dict[str, Any] = {
        "sessions": lambda: sessions(chosen.model, films, chosen.frames or 512),
        "targets": lambda: targets(chosen.model, films, chosen.frames or 100),
        "overload": lambda: overload(chosen.model, films, chosen.seconds),
        "steady": lambda: steady(chosen.model, films, chosen.seconds),
        "growth": lambda: growth(chosen.model, films, chosen.frames or 100_000),
        "lasting": lambda: lasting(chosen.frames or 100_000),
        "handshakes": lambda: handshakes(chosen.frames or 500),
    }
    console = Console(width=160)
    console.print(measures[chosen.what]())
    console.print(f"load of the machine: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
