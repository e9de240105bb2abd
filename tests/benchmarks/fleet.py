"""A fleet under what happens to fleets: three servers behind HAProxy, with Redis, on this machine.

    python -m tests.benchmarks.fleet                        # everything, about six minutes
    python -m tests.benchmarks.fleet --only frozen --streams 12

One table for what happens to a replica, the store or the edge while streams run through it; one for how sessions are
spread; one for what the edge costs. Streams are drawn ones of the Python client's, each of whose frames counts, and the
model is the dummy: it is the fleet that is measured. Needs haproxy and redis-server.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter

import httpx
import lockon_client
from rich.console import Console
from rich.table import Table

from service.ids import new_id
from tests.benchmarks.fleet_streams import Clinging, Noticed, Recording, follow
from tests.benchmarks.streams import drawn_film, percentiles
from tests.edge import NAME, Edge
from tests.end_to_end.processes import ServerProcess
from tests.redis_server import RedisServer

KEY = "a key for measurements, of no other use"
SEEDS = 6
BEFORE_S = 6.0
AFTER_S = 14.0
FROZEN_S = 20.0
STORE_AWAY_S = 10.0
CLINGING = 6
IDS = 1000
SPREAD_S = 40.0
CONSOLE = Console(width=150)


@dataclass(slots=True)
class Fleet:
    """What runs."""

    folder: Path
    redis: RedisServer
    replicas: list[ServerProcess]
    edge: Edge

    def add_replica(self) -> None:
        """One more server, which the edge is told of."""
        self.replicas.append(_replica(self.folder, self.redis, len(self.replicas)).ready())
        self.edge.reload([replica.port for replica in self.replicas])


def _replica(folder: Path, redis: RedisServer, i: int) -> ServerProcess:
    settings = {
        "store__url": redis.url,
        "store__token_keys": json.dumps([KEY]),
        "fleet__address": f"/n/{NAME.format(i + 1)}",
        "limits__must_queue": 64,
        "limits__min_fps": 0,
        "server__log_level": "warning",
    }
    return ServerProcess(folder / f"{i + 1}.log", **settings)


@contextmanager
def running() -> Iterator[Fleet]:
    """Three servers, the store and the edge."""
    binary = shutil.which("redis-server")
    assert binary is not None, "redis-server is not installed"
    with ExitStack() as ends:
        folder = Path(ends.enter_context(tempfile.TemporaryDirectory(prefix="lockon-fleet-")))
        redis = RedisServer(binary)
        ends.callback(redis.end)
        replicas = [_replica(folder, redis, i) for i in range(3)]
        ends.callback(_end, replicas)
        edge = Edge(folder, [replica.ready().port for replica in replicas])
        ends.callback(edge.end)
        yield Fleet(folder, redis, replicas, edge)


def _end(replicas: Sequence[ServerProcess]) -> None:
    for replica in replicas:
        replica.end()


# What happens


async def _nothing(_fleet: Fleet) -> None:
    pass


async def _killed(fleet: Fleet) -> None:
    fleet.replicas[0].kill()


async def _drained(fleet: Fleet) -> None:
    fleet.replicas[0].terminate()


async def _frozen(fleet: Fleet) -> None:
    fleet.replicas[0].pause()
    await asyncio.sleep(FROZEN_S)
    fleet.replicas[0].go_on()


async def _store_away(fleet: Fleet) -> None:
    fleet.redis.stop()
    await asyncio.sleep(STORE_AWAY_S)
    await asyncio.to_thread(fleet.redis.start)


async def _edge_reloaded(fleet: Fleet) -> None:
    fleet.edge.reload()


@dataclass(frozen=True, slots=True)
class Scenario:
    """Something that happens, for how many seconds more the streams run for it, and who else is there."""

    words: str
    happen: Callable[[Fleet], Awaitable[None]]
    lasts_s: float = 0.0
    clinging: bool = False


SCENARIOS = {
    "undisturbed": Scenario("nothing happens", _nothing),
    "killed": Scenario("a replica is killed (SIGKILL)", _killed),
    "drained": Scenario("a replica is told to stop (SIGTERM)", _drained, 10.0),
    "frozen": Scenario(f"a replica stands still for {FROZEN_S:.0f} s (SIGSTOP)", _frozen, FROZEN_S, clinging=True),
    "store": Scenario(f"the store is away for {STORE_AWAY_S:.0f} s, and comes back empty", _store_away, STORE_AWAY_S),
    "edge": Scenario("the edge reads its configuration again", _edge_reloaded),
}


async def disturbed(scenario: Scenario, streams: int, fps: float) -> tuple[list[Noticed], list[Clinging]]:
    """The streams, and those that close no socket, after it has happened among them."""
    seconds = BEFORE_S + scenario.lasts_s + AFTER_S
    recordings = [Recording.drawn(seed, round(seconds * fps)) for seed in range(SEEDS)]
    with running() as fleet:
        clinging = CLINGING if scenario.clinging else 0
        starts = [perf_counter() + 1.0 + i / fps / streams for i in range(streams)]
        others = [Clinging(fleet.edge.ws, recordings[i % SEEDS], fps, starts[i]) for i in range(clinging)]
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(follow(fleet.edge.ws, recordings[i % SEEDS], fps, starts[i]))
                for i in range(clinging, streams)
            ]
            for other in others:
                group.create_task(other.run())
            await asyncio.sleep(BEFORE_S + 1.0)
            await scenario.happen(fleet)
        return [task.result() for task in tasks], others


def disturbances(names: Sequence[str], streams: int, fps: float) -> Table:
    """One row for each thing that happens."""
    shown = Table(
        *("what happens", "lines broken", "resumed as they were", "their gap, median s", "at most s", "longest gap s"),
        *("frames without a result", "px off then", "px off a second later", "results of a stale epoch"),
        title=f"{streams} streams of {fps:g} frames/s through the edge to three replicas",
    )
    for name in names:
        scenario = SCENARIOS[name]
        noticed, clinging = asyncio.run(disturbed(scenario, streams, fps))
        hit = [each for each in noticed if each.hit]
        everybody = noticed + [other.noticed for other in clinging]
        frames = round((BEFORE_S + scenario.lasts_s + AFTER_S) * fps)
        shown.add_row(
            scenario.words,
            str(len(hit)),
            str(sum(each.resumed for each in hit)),
            f"{median(each.break_s for each in hit):.2f}" if hit else "-",
            f"{max(each.break_s for each in hit):.2f}" if hit else "-",
            f"{max(each.gap_s for each in noticed):.2f}",
            str(sum(frames - len(set(each.seqs)) for each in noticed)),
            f"{max(max(each.off_px) for each in noticed):.2f}",
            f"{max(max(each.off_px[each.after :][round(fps) :]) for each in noticed):.2f}",
            str(sum(each.stale for each in everybody)),
        )
        for failure in {each.failure for each in noticed} - {None}:
            CONSOLE.print(f"{name}: {failure}")
        for other in clinging:
            CONSOLE.print(f"{name}: a client that kept its old socket: closed with {other.codes}")
    return shown


# How sessions are spread


async def _places(edge: Edge, ids: Sequence[str]) -> list[str]:
    """Which replica the edge leads each session to."""
    async with httpx.AsyncClient(base_url=edge.http, limits=httpx.Limits(max_connections=8)) as http:
        answers = [await http.get(f"/v1/sessions/{name}") for name in ids]
    return [answer.headers["x-lockon-replica"] for answer in answers]


async def spread(streams: int, fps: float) -> Table:
    """Sessions over replicas by their id, and sockets over replicas; before and after one is added."""
    ids = [new_id("ses") for _ in range(IDS)]
    recording = Recording.drawn(0, round(SPREAD_S * fps))
    with running() as fleet:
        tasks = [asyncio.create_task(follow(fleet.edge.ws, recording, fps, perf_counter() + 1)) for _ in range(streams)]
        await asyncio.sleep(3.0)  # all are there
        sockets = await _sessions(fleet)
        before = await _places(fleet.edge, ids)
        await asyncio.to_thread(fleet.add_replica)
        await asyncio.sleep(2.0)  # a health check or two
        after = await _places(fleet.edge, ids)
        noticed = [await task for task in tasks]
    shown = Table(
        "of", "replicas", "most / mean", "moved", "of them to the new one", title="Balance, and one replica more"
    )
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    shown.add_row(f"{IDS} sessions by their id", "3", _uneven(Counter(before), 3), "", "")
    shown.add_row("the same", "4", _uneven(Counter(after), 4), f"{len(moved) / IDS:.1%}", f"{_share_new(moved):.1%}")
    shown.add_row(f"{streams} new streams", "3", _uneven(sockets, 3), "", "")
    broken = sum(each.hit for each in noticed)
    shown.add_row("the same", "4", "", f"{broken} lines broken", "")
    return shown


def _share_new(moved: Sequence[str]) -> float:
    return sum(name == NAME.format(4) for name in moved) / max(1, len(moved))


def _uneven(counts: Counter[str], replicas: int) -> str:
    return f"{max(counts.values()) / (sum(counts.values()) / replicas):.2f}"


async def _sessions(fleet: Fleet) -> Counter[str]:
    async with httpx.AsyncClient() as http:
        answers = [(await http.get(f"{replica.http}/readyz")).json() for replica in fleet.replicas]
    return Counter({NAME.format(i + 1): answer["sessions"] for i, answer in enumerate(answers)})


# What the edge costs


async def _ages(url: str, fps: float, seconds: float, began_s: float) -> list[float]:
    """Ages of a live stream's results by the client's clock, in ms."""
    film = drawn_film(320, 240, 40)
    files = [film.files[i % len(film.files)] for i in range(round(seconds * fps))]
    recording = Recording(files, ())
    async with lockon_client.track(url, box=film.box.xywh()) as t:
        return [result.true_age_ms or 0.0 async for result in t.results(recording.paced(fps, began_s))]


async def price(streams: int, fps: float) -> Table:
    """Streams with and without the edge, side by side in one run."""
    shown = Table("way", "results", "p50 ms", "p99 ms", title=f"{streams} live streams of {fps:g} frames/s, in turns")
    with running() as fleet:
        began_s = perf_counter() + 1.0
        replicas = fleet.replicas
        urls = [fleet.edge.ws if i % 2 else replicas[i // 2 % len(replicas)].ws for i in range(streams)]
        starts = [began_s + i / fps / streams for i in range(streams)]
        ages = await asyncio.gather(*(_ages(url, fps, 30.0, at_s) for url, at_s in zip(urls, starts, strict=True)))
    for way, chosen in (("straight to a replica", ages[0::2]), ("through the edge", ages[1::2])):
        # The first second is that of the connections.
        values = [age for stream in chosen for age in stream[round(fps) :]]
        figures = percentiles(values)
        shown.add_row(way, str(len(values)), f"{figures['p50']:.2f}", f"{figures['p99']:.2f}")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=60)
    parser.add_argument("--fps", type=float, default=5.0)
    parser.add_argument("--only", choices=[*SCENARIOS, "spread", "price"], action="append")
    arguments = parser.parse_args()
    wanted = arguments.only or [*SCENARIOS, "spread", "price"]
    happening = [name for name in wanted if name in SCENARIOS]
    if happening:
        CONSOLE.print(disturbances(happening, arguments.streams, arguments.fps))
    if "spread" in wanted:
        CONSOLE.print(asyncio.run(spread(arguments.streams, arguments.fps)))
    if "price" in wanted:
        CONSOLE.print(asyncio.run(price(arguments.streams // 2, arguments.fps)))


if __name__ == "__main__":
    main()
