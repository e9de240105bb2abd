"""What a worker does with a batch of jobs: decode, start and catch up targets, one step of the tracker for all."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import structlog
from numpy.typing import NDArray

from models.carrying import Carrier
from models.frames import Picture, PixelRect
from models.geometry import Size
from models.runtimes.base import Best, Features, FloatArray, Runtime
from models.target import Estimate, Target, TargetInvalid, check_box
from models.tracker import Tracker
from service.engine.decoding import DecodeFailed, Decoder
from service.engine.jobs import Failure, Followed, Job, Outcome, Replay, Start, StartOrder
from service.protocol.header import Frame

_log = structlog.get_logger("lockon.engine")


@dataclass(slots=True)
class Runs:
    """What a thread's runs of the network took, in seconds of `perf_counter`."""

    total_s: float = 0.0
    ended_s: float = 0.0
    """when the last one ended"""


class TimedRuntime:
    """A runtime that adds up, for each thread, the time of its runs: one step may search in crops of several sizes, and
    cut new templates after that."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._local = threading.local()
        self.name = runtime.name
        self.device = runtime.device
        self.precision = runtime.precision

    def template(self, crops: NDArray[Any]) -> list[Features]:
        """As the runtime's own."""
        began_s = perf_counter()
        features = self._runtime.template(crops)
        self._add(began_s)
        return features

    def joined(self, templates: Sequence[Features]) -> Features:
        """As the runtime's own."""
        return self._runtime.joined(templates)

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """As the runtime's own."""
        began_s = perf_counter()
        best = self._runtime.search(features, crops, size, loop)
        self._add(began_s)
        return best

    def measured(self) -> Runs:
        """This thread's runs from now on are added up here."""
        runs = self._local.runs = Runs()
        return runs

    def _add(self, began_s: float) -> None:
        runs: Runs | None = getattr(self._local, "runs", None)
        if runs is not None:
            runs.ended_s = perf_counter()
            runs.total_s += runs.ended_s - began_s


@dataclass(slots=True)
class _Prepared:
    """A job whose frame is decoded and whose new targets are started."""

    job: Job
    outcome: Outcome
    picture: Picture | None
    pairs: list[tuple[Followed, Target]]


class Stepper:
    """Runs batches of jobs of one model; may be used by several threads, each with jobs of other sessions."""

    def __init__(self, tracker: Tracker, decoder: Decoder) -> None:
        self._runtime = TimedRuntime(tracker.runtime)
        self._tracker = Tracker(tracker.spec, self._runtime)
        self._carrier = Carrier(self._tracker)
        self._decoder = decoder

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """One outcome per job. A job that fails fails alone: the others get what they would have got without it."""
        prepared = [self._prepared_safely(job) for job in jobs]
        stepping = [item for item in prepared if item.pairs and item.picture is not None]
        try:
            self._step(stepping)
        except Exception:
            # Which of them was it? Targets change only after a step has succeeded, so each can be tried alone.
            for item in stepping:
                self._step_safely(item)
            # None of them was it: together they were too much, as for a device whose memory is full.
            split = len(stepping) > 1 and not any(item.outcome.internal for item in stepping)
            for item in stepping:
                item.outcome.split = split
        for item in prepared:
            item.outcome.done_s = perf_counter()
        return [item.outcome for item in prepared]

    def _step_safely(self, item: _Prepared) -> None:
        try:
            self._step([item])
        except Exception:
            _log.exception("a step failed", kind="frame_failed", session=item.job.session)
            item.outcome.internal = True

    def _prepared_safely(self, job: Job) -> _Prepared:
        try:
            return self._prepared(job)
        except Exception:
            _log.exception("a frame could not be prepared", kind="frame_failed", session=job.session)
            return _Prepared(job, Outcome(internal=True), None, [])

    def _step(self, items: Sequence[_Prepared]) -> None:
        if not items:
            return
        began_s = perf_counter()
        runs = self._runtime.measured()
        pairs = [(target, item.picture) for item in items for _, target in item.pairs if item.picture is not None]
        before = [target.box for target, _ in pairs]
        estimates = self._tracker.step(pairs)
        ended_s = perf_counter()
        looks = zip(pairs, before, estimates, strict=True)
        for item in items:
            for (followed, target), (_, box, estimate) in zip(item.pairs, looks, strict=False):
                target.carry = None
                if item.job.cadence > 1 and item.picture is not None:
                    self._carrier.looked(target, item.picture, box, estimate)
                item.outcome.estimates.append((followed, target, estimate))
            timings = item.outcome.timings
            timings.prep += (runs.ended_s - began_s - runs.total_s) * 1e3
            timings.infer = runs.total_s * 1e3
            timings.post = (ended_s - runs.ended_s) * 1e3
            timings.stepped_s, timings.searched_s = began_s, runs.ended_s
            timings.batch = len(pairs)

    def _prepared(self, job: Job) -> _Prepared:
        outcome = Outcome()
        picture = self._fresh(job, outcome)
        began = perf_counter()
        current = {followed: followed.target for followed in job.followed if followed.target is not None}
        for target in current.values():
            target.thresholds = job.thresholds
        fresh: list[tuple[Followed, Target, Estimate | None]] = []
        for order, replays in job.orders:
            started = self._start_all(job, order, replays, picture, outcome)
            outcome.started[order] = started
            if isinstance(started, Failure):
                continue
            if order.replaces_all:
                current.clear()
                fresh.clear()
            for start, target in started.items():
                current.pop(start.followed, None)
                if job.frame is not None and start.frame is job.frame:
                    fresh.append((start.followed, target, None))
                else:
                    current[start.followed] = target
        pairs = list(current.items())
        if job.cadence > 1 and picture is not None:
            pairs = self._not_carried(pairs, picture, outcome, job.cadence)
        outcome.timings.prep += (perf_counter() - began) * 1e3
        outcome.estimates += fresh
        return _Prepared(job, outcome, picture, pairs)

    def _not_carried(
        self, pairs: Sequence[tuple[Followed, Target]], picture: Picture, outcome: Outcome, cadence: int
    ) -> list[tuple[Followed, Target]]:
        """The targets that the network has to look for; the others are carried into this frame."""
        looking = []
        for followed, target in pairs:
            estimate = self._carrier.carried(target, picture, cadence)
            if estimate is None:
                looking.append((followed, target))
            else:
                outcome.estimates.append((followed, target, estimate))
        return looking

    def _fresh(self, job: Job, outcome: Outcome) -> Picture | None:
        """The job's frame, or as much of it as will be looked at."""
        if job.frame is None:
            return None
        began = perf_counter()
        outcome.timings.wait = (began - job.frame.received_s) * 1e3
        try:
            part = self._part(job)
            decoder = self._decoder
            return _timed(
                decoder.decode_all(job.frame) if part is None else decoder.decode_part(job.frame, part), job.frame
            )
        except DecodeFailed as error:
            outcome.undecodable = str(error)
            return None
        finally:
            outcome.timings.decode = (perf_counter() - began) * 1e3

    def _part(self, job: Job) -> PixelRect | None:
        """The part of the fresh frame that holds all that is looked at; None for the whole."""
        targets = [followed.target for followed in job.followed if followed.target is not None]
        # Targets that are started or caught up in this job: where they look is known only when it is done.
        if not targets or job.orders or any(map(self._tracker.needs_whole, targets)):
            return None
        return PixelRect.around(map(self._tracker.reach, targets))

    def _start_all(
        self, job: Job, order: StartOrder, replays: Sequence[Replay], fresh: Picture | None, outcome: Outcome
    ) -> dict[Start, Target] | Failure:
        """Starts an order's targets, frame by frame so that no more than one is held decoded beside the fresh one."""
        timeline = {frame.seq: frame for replay in replays for frame in (replay.start.frame, *replay.later) if frame}
        started: dict[Start, Target] = {}
        caught_up = 0
        for seq in sorted(timeline):
            frame = timeline[seq]
            picture = fresh if frame is job.frame else self._retained(frame)
            if picture is None:
                if any(replay.start.frame is frame for replay in replays):
                    return Failure("image_undecodable", f"frame {seq} is damaged")
                continue
            later = [started[r.start] for r in replays if r.start in started and frame in r.later]
            # A window that was sent for other targets may show nothing of this one.
            moving = [(target, picture) for target in later if picture.shows(self._tracker.reach(target))]
            self._tracker.step(moving)
            caught_up += bool(moving)
            for start in (replay.start for replay in replays if replay.start.frame is frame):
                try:
                    started[start] = self._start(start, picture)
                    started[start].thresholds = job.thresholds
                except TargetInvalid as error:
                    return Failure("bad_box", str(error), f"{start.pointer}/{'xywh'.index(error.field)}")
        outcome.caught_up[order] = caught_up
        return started

    def _retained(self, frame: Frame) -> Picture | None:
        try:
            return _timed(self._decoder.decode_all(frame), frame)
        except DecodeFailed:
            return None

    def _start(self, start: Start, picture: Picture) -> Target:
        old = start.followed.target
        if start.mode == "hint" and old is not None:
            check_box(start.box, Size(float(picture.frame_width), float(picture.frame_height)))
            return self._tracker.placed(old, start.box)
        return self._tracker.start(picture.pixels, start.box)


def _timed(picture: Picture, frame: Frame) -> Picture:
    """The picture with the time that the client says it was taken at."""
    if frame.ts_us is None:
        return picture
    # Written out, as `replace` asks the class for its fields each time.
    whole = (picture.frame_width, picture.frame_height)
    return Picture(picture.pixels, picture.x, picture.y, *whole, frame.ts_us / 1e6, picture.scaled_from)
