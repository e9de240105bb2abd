"""Gives work to workers: one frame of each session whose turn it is, grouped by model. No timer gathers batches; one
waits only for the next frame of a session that has a `max_fps`."""

from __future__ import annotations

import asyncio
from time import perf_counter
from typing import Protocol

import structlog

from service.engine.jobs import Job, Outcome
from service.engine.models import Model
from service.engine.relief import Relief
from service.engine.session import Session
from service.engine.turns import Turns, targets
from service.engine.workers import Batch, Workers

_log = structlog.get_logger("lockon.engine")


class BatchMeter(Protocol):
    """Takes note of every batch."""

    def batch(self, device: str, outcomes: list[Outcome], seconds: float) -> None:
        """A batch was worked off on that device in so many seconds."""

    def relief(self, cadence: int) -> None:
        """From now on the network looks at one of so many frames at least."""


class Scheduler:
    """Gives work to free workers. Everything here runs on the event loop's thread."""

    def __init__(
        self, workers: int, loop: asyncio.AbstractEventLoop, meter: BatchMeter, cadence_under_load: int = 1
    ) -> None:
        """cadence_under_load: see `service.engine.relief`."""
        self._meter = meter
        self._relief = Relief(workers, cadence_under_load, perf_counter())
        self._workers = Workers(workers, loop, self._done)
        self._turns = Turns()
        self._out: dict[str, Session] = {}
        self._later: dict[str, asyncio.TimerHandle] = {}
        self._loop = loop
        self._concluding = False
        self._stopped = False

    def wake(self, session: Session) -> None:
        """The session may have work."""
        if not session.in_flight:
            self._turns.add(session)
        self._dispatch()

    def forget(self, session: Session) -> None:
        """The session is closed."""
        self._turns.forget(session)
        if session.id in self._later:
            self._later.pop(session.id).cancel()

    @property
    def workers(self) -> int:
        """Threads that work off batches."""
        return self._workers.count

    @property
    def alive(self) -> int:
        """Those of them that have not died."""
        return self._workers.alive

    def models_at_work(self) -> set[Model]:
        """Models of which a worker has a batch, whether or not its sessions still exist."""
        return {session.model for session in self._out.values()}

    def stop(self, timeout_s: float) -> None:
        """Ends the threads; what still comes back is ignored."""
        self._stopped = True
        self._workers.stop(timeout_s)

    def longest_s(self) -> float:
        """How long the oldest running batch has been running."""
        return self._workers.longest_s(perf_counter())

    def trouble(self) -> str | None:
        """Why no frame will be worked off any more, or not as fast as it should; None while all is well."""
        if self._stopped:
            return "stopped"
        return "worker_died" if self._workers.alive < self._workers.count else None

    def _dispatch(self) -> None:
        if self._concluding:
            return  # the worker is free, but not yet all sessions of its batch: the first would go alone
        while not self._stopped and self._workers.free > 0 and self._turns:
            model = self._turns.next_model()
            # With several free workers each takes its share; batches form only where work waits for workers.
            share = -(-len(self._turns) // self._workers.free)
            jobs = self._take(model, share)
            if jobs:
                self._workers.submit(Batch(model, jobs))

    def _take(self, model: Model, sessions: int) -> list[Job]:
        """Jobs of at most so many sessions, with no more targets than pay to be searched for at once, or of one
        session with more."""
        jobs: list[Job] = []
        room = model.curve.largest
        now_s = perf_counter()
        while len(jobs) < sessions:
            session = self._turns.take(model, room if jobs else None, now_s)
            if session is None:
                break
            if session.model is not model:  # another one since it was put there
                self._turns.add(session)
                continue
            job = self._job_of(session)
            if job is not None:
                self._turns.served(session)
                self._out[session.id] = session
                jobs.append(job)
                room -= targets(session)
        return jobs

    def _job_of(self, session: Session) -> Job | None:
        # This may run in another session's reader: a fault must not reach it.
        try:
            now_s = perf_counter()
            job = session.take(now_s, self._relief.cadence)
            pause_s = session.pause_s(now_s) if job is None else 0.0
            if pause_s > 0:
                self._wake_later(session, pause_s)
            return job
        except Exception:
            _log.exception("a session failed to give its next job", kind="session_failed", session=session.id)
            session.fail()
            return None

    def _wake_later(self, session: Session, pause_s: float) -> None:
        timer = self._later.get(session.id)
        if timer is not None:
            if timer.when() <= self._loop.time() + pause_s:
                return
            timer.cancel()  # `max_fps` was raised meanwhile
        self._later[session.id] = self._loop.call_later(pause_s, self._wake_again, session)

    def _wake_again(self, session: Session) -> None:
        """The time is over that a frame had to wait."""
        self._later.pop(session.id, None)
        self.wake(session)

    def _halve(self, model: Model) -> None:
        model.curve = model.curve.halved()
        words = {"model": model.id, "largest_batch": model.curve.largest}
        _log.warning("a batch was too much at once; there will be smaller ones", kind="batch_split", **words)

    def _relieve(self, batch: Batch, now_s: float, seconds: float) -> None:
        frames = sum(job.frame is not None for job in batch.jobs)
        replaced = sum(job.replaced for job in batch.jobs)
        if self._relief.worked(now_s, seconds, frames=frames, replaced=replaced):
            cadence = self._relief.cadence
            self._meter.relief(cadence)
            _log.info("overload begins" if cadence > 1 else "overload ends", kind="overload", cadence=cadence)

    def _done(self, batch: Batch, outcomes: list[Outcome]) -> None:
        now_s = perf_counter()
        seconds = now_s - (batch.began_s or now_s)
        self._relieve(batch, now_s, seconds)
        if any(outcome.split for outcome in outcomes):
            self._halve(batch.model)
        self._concluding = True
        try:
            for job, outcome in zip(batch.jobs, outcomes, strict=True):
                if job.frame is not None:
                    for costs in (self._out[job.session].costs, batch.model.costs):
                        costs.add(seconds / len(batch.jobs))
                self._conclude(job, outcome, now_s)
        finally:
            self._concluding = False
        self._dispatch()
        sizes = [outcome.timings.batch for outcome in outcomes if outcome.estimates]
        if sizes:
            batch.model.tally.ran(max(sizes))
        self._meter.batch(batch.model.tracker.runtime.device, outcomes, seconds)

    def _conclude(self, job: Job, outcome: Outcome, now_s: float) -> None:
        session = self._out.pop(job.session)
        try:
            session.finish(outcome, now_s)
        except Exception:
            # The others of the batch wait for their results, and the worker for its next batch.
            _log.exception("a session failed to take its results", kind="session_failed", session=session.id)
            session.fail()
        if session.state == "closed":
            self._turns.forget(session)
