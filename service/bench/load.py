"""Open-loop load: each stream's frames come when they are due, however long the answers take.

A frame that the client has no credit for is left out, as with any client of the deployment, and counted. Ages begin
when a frame was due and not when it could be sent, so that nothing that stands still makes itself look fast.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from lockon_client import Interrupted, LineEvent, LockonError, Result, Resumed, Track, track

from service.bench.doors import BenchFailed, Doors
from service.bench.film import Film

AFTERWARDS_S = 1.0
"""A frame without an answer for so long after the end counts as unanswered."""
RETRY_S = 1.0
"""A stream that was refused, or ended by itself, tries again so much later."""
_OPENING = 8
"""Streams that are being opened at once."""
_REMEMBERED = 1024


@dataclass(frozen=True, slots=True)
class Load:
    """What is put on a deployment. Each frame is late by up to `jitter_ms`; `churn` streams a minute leave, and another
    one comes for each."""

    url: str
    streams: int
    fps: float
    seconds: float
    jitter_ms: float = 0.0
    churn: float = 0.0
    model: str | None = None
    key: str | None = None


@dataclass(slots=True)
class Seen:
    """What one stream saw. Times in seconds of the monotonic clock; `counters` are the server's, None if not heard."""

    ages: list[tuple[float, float]] = field(default_factory=list)
    """When a frame was due, and its age in ms when the answer was here."""
    late_ms: list[float] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    resumed_s: list[float] = field(default_factory=list)
    offered: int = 0
    skipped: int = 0
    longest_gap_s: float = 0.0
    stale: int = 0
    """Results of an older epoch than one that was heard before."""
    counters: dict[str, int] | None = None
    _epoch: int = 0
    _heard_s: float | None = None
    _handed: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_REMEMBERED))

    def offer(self, due_s: float) -> None:
        """A frame is there."""
        now_s = time.monotonic()
        self.offered += 1
        self.late_ms.append((now_s - due_s) * 1e3)
        self._handed.append((int(now_s * 1e6), due_s))

    def take(self, result: Result) -> None:
        """A frame was answered."""
        now_s = time.monotonic()
        assert result.ts_us is not None, "live frames have a time stamp"
        # The client stamps a frame when it gets it: of those handed over before that, it is the last one.
        while len(self._handed) > 1 and self._handed[1][0] <= result.ts_us:
            self._handed.popleft()
        due_s = self._handed[0][1]
        self.ages.append((due_s, (now_s - due_s) * 1e3))
        self.waited(now_s)
        self._heard_s = now_s
        self.stale += result.epoch < self._epoch
        self._epoch = max(self._epoch, result.epoch)
        self.states.update(str(target.state) for target in result.targets)

    def waited(self, until_s: float) -> None:
        """There was no answer from the last one until then."""
        if self._heard_s is not None:
            self.longest_gap_s = max(self.longest_gap_s, until_s - self._heard_s)

    def note(self, event: LineEvent) -> None:
        """The line broke, or goes on."""
        match event:
            case Interrupted(reason):
                self.outcomes[f"interrupted {reason.code}"] += 1
            case Resumed(after_s=after_s):
                self.outcomes["resumed"] += 1
                self.resumed_s.append(after_s)


@dataclass(frozen=True, slots=True)
class Observed:
    """All that was seen: one entry for each session. `began_s` is when the first frame was due."""

    load: Load
    film: Film
    sessions: list[Seen]
    outcomes: Counter[str]
    failures: Counter[str]
    """What was said when a session was refused or ended, in words."""
    began_s: float


class Generator:
    """Puts a load on a deployment, once."""

    def __init__(self, load: Load, film: Film) -> None:
        self._load, self._film = load, film
        self._doors = Doors(load.url, load.key)
        self._sessions: list[Seen] = []
        self._outcomes: Counter[str] = Counter()
        self._failures: list[BenchFailed | LockonError] = []
        self._tried = 0
        self._began_s = 0.0
        self._begun = asyncio.Event()

    async def run(self) -> Observed:
        """Opens the streams, then lets their frames come.

        Raises BenchFailed or LockonError, as the deployment said it, where not one stream could be opened."""
        opening = asyncio.Semaphore(_OPENING)
        async with asyncio.TaskGroup() as group:
            for number in range(self._load.streams):
                group.create_task(self._place(number, opening))
        if not self._sessions:
            raise self._failures[0]
        said = Counter(str(failure) for failure in self._failures)
        return Observed(self._load, self._film, self._sessions, self._outcomes, said, self._began_s)

    async def _place(self, number: int, opening: asyncio.Semaphore) -> None:
        """One stream after the other, until the time is up."""
        rng = random.Random(number)
        wait_s = 0.0
        while not self._begun.is_set() or (self._sessions and time.monotonic() + RETRY_S < self._ends_s):
            await asyncio.sleep(wait_s)
            wait_s = 0.0 if await self._life(number, rng, opening) else RETRY_S

    async def _life(self, number: int, rng: random.Random, opening: asyncio.Semaphore) -> bool:
        """One session from its opening to its end; False if it was refused, or ended before its time."""
        seen = Seen(outcomes=self._outcomes)
        joined = False
        try:
            async with opening:
                opened = await asyncio.to_thread(self._doors.create, self._load.model, self._film.box)
            async with track(opened.stream_url, key=self._load.key, on_event=seen.note) as stream:
                joined = True
                self._outcomes["opened"] += 1
                self._sessions.append(seen)
                await self._everybody()
                await self._followed(stream, seen, number, rng)
                seen.counters = dict(await asyncio.to_thread(self._doors.counters, opened))
        except (BenchFailed, LockonError) as error:
            self._failures.append(error)
            code = getattr(error, "code", "") or type(error).__name__
            self._outcomes[f"{'ended' if joined else 'refused'} {code}"] += 1
            await self._everybody()
            return False
        return True

    async def _everybody(self) -> None:
        """Waits until each stream was opened or refused: the load begins as a whole."""
        if not self._begun.is_set():
            self._tried += 1
            if self._tried == self._load.streams:
                self._began_s = time.monotonic()
                self._begun.set()
            await self._begun.wait()

    @property
    def _ends_s(self) -> float:
        return self._began_s + self._load.seconds

    async def _followed(self, stream: Track, seen: Seen, number: int, rng: random.Random) -> None:
        """Lets a stream's frames come until its time, or the load's, is up, and takes its results."""
        load, until_s = self._load, self._ends_s
        if load.churn:
            until_s = min(until_s, time.monotonic() + rng.expovariate(load.churn / 60 / load.streams))
        frames = self._frames(seen, number, rng, until_s)
        try:
            async with asyncio.timeout(until_s + AFTERWARDS_S - time.monotonic()) as limit:
                async for result in stream.results(frames):
                    seen.take(result)
        except TimeoutError:
            if not limit.expired():
                raise
        finally:
            seen.skipped = stream.skipped
            seen.waited(min(until_s, time.monotonic()))

    async def _frames(self, seen: Seen, number: int, rng: random.Random, until_s: float) -> AsyncIterator[bytes]:
        """Each frame when it is due. The streams are evenly spread over a frame's time."""
        load = self._load
        began_s = time.monotonic() + number / load.streams / load.fps
        due_s = began_s
        for index in itertools.count():
            due_s = max(due_s, began_s + index / load.fps + rng.uniform(0, load.jitter_ms / 1e3))
            if due_s >= until_s:
                return
            if (wait_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            seen.offer(due_s)
            yield self._film.file(index)
