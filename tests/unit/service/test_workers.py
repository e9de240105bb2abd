"""Threads that hang or die, and what becomes of their batches."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from time import perf_counter

import pytest

from models.package import load_tracker
from service.engine.batching import BatchCurve
from service.engine.decoding import HostDecoder
from service.engine.jobs import Job, Outcome
from service.engine.models import Model
from service.engine.steps import Stepper
from service.engine.workers import Batch, Workers
from service.telemetry.metrics import Metrics
from tests.waiting import until


class Panic(BaseException):
    """What a library's panic looks like: no Exception."""


class WaitingStepper(Stepper):
    """Waits for the gate."""

    def __init__(self) -> None:
        super().__init__(load_tracker("dummy"), HostDecoder())
        self.gate = threading.Event()

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        assert self.gate.wait(20)
        return super().run(jobs)


class PanickingStepper(Stepper):
    """Panics."""

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        raise Panic


def _model(stepper: Stepper) -> Model:
    return Model("m", load_tracker("dummy"), stepper, Metrics().tally("m"), BatchCurve({}, 2))


def _job() -> Job:
    return Job("ses_1", None, (), ())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_dies_gives_its_batch_back_and_is_missed() -> None:
    came: asyncio.Queue[list[Outcome]] = asyncio.Queue()
    workers = Workers(2, asyncio.get_running_loop(), lambda _batch, outcomes: came.put_nowait(outcomes))
    workers.submit(Batch(_model(PanickingStepper(load_tracker("dummy"), HostDecoder())), [_job()]))
    async with asyncio.timeout(10):
        (outcome,) = await came.get()
    await until(lambda: workers.alive < 2)
    assert outcome.internal
    assert (workers.alive, workers.free) == (1, 1)
    workers.stop(1.0)


async def test_stopping_waits_for_hanging_batches_no_longer_than_agreed_for_all_together() -> None:
    stepper = WaitingStepper()
    model = _model(stepper)
    workers = Workers(4, asyncio.get_running_loop(), lambda _batch, _outcomes: None)
    for _ in range(4):
        workers.submit(Batch(model, [_job()]))
    began = perf_counter()
    workers.stop(0.2)
    assert perf_counter() - began < 0.6
    stepper.gate.set()
