"""Threads that work off batches of jobs, and hand each batch's outcomes back to the event loop in one call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from time import perf_counter

import structlog

from service.engine.jobs import Job, Outcome
from service.engine.models import Model

_log = structlog.get_logger("lockon.engine")

Done = Callable[["Batch", list[Outcome]], None]


@dataclass(eq=False, slots=True)
class Batch:
    """Jobs of one model, of different sessions."""

    model: Model
    jobs: Sequence[Job]
    began_s: float | None = None


class Workers:
    """A fixed number of threads. The scheduler hands out no more batches than are free, which bounds the queue."""

    def __init__(self, count: int, loop: asyncio.AbstractEventLoop, done: Done) -> None:
        self.count = count
        self._loop = loop
        self._done = done
        self._batches: SimpleQueue[Batch | None] = SimpleQueue()
        self._running: set[Batch] = set()
        self._working: set[int] = set(range(count))
        self._threads = [
            threading.Thread(target=self._work, args=(i,), name=f"lockon-worker-{i}", daemon=True) for i in range(count)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def free(self) -> int:
        """Threads that have nothing to do."""
        return len(self._working) - len(self._running)

    @property
    def alive(self) -> int:
        """Threads that have not died."""
        return sum(thread.is_alive() for thread in self._threads)

    def submit(self, batch: Batch) -> None:
        """Gives a batch to a free thread."""
        self._running.add(batch)
        self._batches.put(batch)

    def longest_s(self, now_s: float) -> float:
        """How long the batch has been running that runs longest."""
        return max((now_s - batch.began_s for batch in self._running if batch.began_s is not None), default=0.0)

    def stop(self, timeout_s: float) -> None:
        """Lets every thread end after the batch that it is at; waits no longer than that for all of them together."""
        for _ in self._threads:
            self._batches.put(None)
        deadline_s = perf_counter() + timeout_s
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - perf_counter()))

    def _work(self, number: int) -> None:
        try:
            while (batch := self._batches.get()) is not None:
                self._run(batch)
                # A thread that waits for its next batch must not keep the last one's model in memory.
                del batch
        finally:
            self._working.discard(number)

    def _run(self, batch: Batch) -> None:
        batch.began_s = perf_counter()
        outcomes = [Outcome(internal=True) for _ in batch.jobs]
        try:
            outcomes = batch.model.stepper.run(batch.jobs)
        except Exception:
            # The stepper keeps failures of frames to themselves; this is a bug, and the thread must outlive it.
            _log.exception("a batch failed", kind="batch_failed", model=batch.model.id)
        finally:
            # Also where the thread dies of it (a panic in a library): the sessions must not wait for ever.
            with suppress(RuntimeError):  # the loop is closed: the server has ended
                self._loop.call_soon_threadsafe(self._finish, batch, outcomes)

    def _finish(self, batch: Batch, outcomes: list[Outcome]) -> None:
        self._running.discard(batch)
        self._done(batch, outcomes)
