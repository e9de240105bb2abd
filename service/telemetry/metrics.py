"""The Prometheus metrics of one server, as in `service.telemetry.catalogue`. Children are made once and kept."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from time import perf_counter
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from service.engine.counters import Drop
from service.engine.jobs import Outcome
from service.protocol.header import Reason
from service.telemetry.catalogue import BY_NAME, PREFIX, Stage
from service.telemetry.series import Counts, Spreads
from service.telemetry.tally import ModelTally

LAG_INTERVAL_S = 0.25

# One more series per counter and bucket set, of no use to anybody here.
disable_created_metrics()  # type: ignore[no-untyped-call]

_IN_BATCH = (Stage.WAIT, Stage.DECODE, Stage.PREP, Stage.INFER, Stage.POST)
_Family = TypeVar("_Family", Counter, Gauge, Histogram)


class Metrics:
    """Every metric of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._frame_families()
        self._session_families()
        self._server_families()
        self._begin_at_zero()
        self._tallies: dict[str, ModelTally] = {}

    def _frame_families(self) -> None:
        self.received = self._counted("frames_received_total")
        self.processed = self._counted("frames_processed_total")
        self.age = self._spread("frame_age_seconds")
        self.delay = self._spread("frame_delay_seconds")
        self.batch_size = self._spread("batch_size")
        self.faults = self._made(Counter, "faults_total")
        self.waiting = self._made(Gauge, "frames_waiting")
        self._busy = self._counted("infer_busy_seconds_total")
        self.coalesced = self._made(Counter, "results_coalesced_total")
        dropped = self._counted("frames_dropped_total")
        rejected = self._made(Counter, "frames_rejected_total")
        interval = self._spread("frame_interval_seconds")
        stage = self._spread("stage_seconds")
        self.drops = {reason: dropped.labels(reason) for reason in Drop}
        self.rejections = {reason: rejected.labels(reason) for reason in Reason}
        self.intervals = {place: interval.labels(place) for place in ("camera", "server")}
        self._stages = {each: stage.labels(each) for each in Stage}

    def _session_families(self) -> None:
        self.sessions = self._made(Gauge, "sessions")
        self._closed = self._made(Counter, "sessions_closed_total")
        self._admission = self._made(Counter, "admission_total")
        self._connections = self._made(Gauge, "connections")
        self._connections_opened = self._made(Counter, "connections_opened_total")
        self._connections_closed = self._made(Counter, "connections_closed_total")
        self.rate_ratio = self._made(Histogram, "session_rate_ratio")
        self.fairness = self._made(Gauge, "fairness_jain")
        self.transitions = self._made(Counter, "target_transitions_total")
        self.lost = self._made(Histogram, "target_lost_seconds")
        self._resumed = self._made(Counter, "resume_total")
        self._resume_seconds = self._made(Histogram, "resume_seconds")

    def _server_families(self) -> None:
        self._store_seconds = self._made(Histogram, "store_op_seconds")
        self._store_errors = self._made(Counter, "store_errors_total")
        self._store_up = self._made(Gauge, "store_up")
        self._store_up.set(1)
        self.workers = self._made(Gauge, "workers")
        self.capacity = self._made(Gauge, "capacity_frames_per_second")
        self._cadence = self._made(Gauge, "cadence")
        self._cadence.set(1)
        self.memory = self._made(Gauge, "memory_bytes")
        self._lag = self._made(Histogram, "event_loop_lag_seconds")
        self._http = self._made(Counter, "http_requests_total")
        self._http_seconds = self._made(Histogram, "http_request_seconds")
        self._warmup = self._made(Gauge, "warmup_seconds")
        self._made(Gauge, "build_info").labels(version("lockon")).set(1)

    def _begin_at_zero(self) -> None:
        """Alerts are about rates, and Prometheus sees no rise in a series that begins at one."""
        self._admission.labels("admitted", "")
        for reason in ("capacity", "quota"):
            self._admission.labels("refused", reason)
        for family, name, label in (
            (self._closed, "sessions_closed_total", "reason"),
            (self._resumed, "resume_total", "result"),
            (self._store_errors, "store_errors_total", "op"),
        ):
            for value in BY_NAME[name].labels[label].names:
                family.labels(value)
        self._connections_closed.labels("1011")

    def _made(self, family: type[_Family], name: str) -> _Family:
        """A metric of the catalogue, in this registry."""
        metric = BY_NAME[name]
        assert metric.kind == family.__name__.lower()
        more: dict[str, Any] = {"buckets": metric.buckets} if metric.buckets else {}
        return family(PREFIX + name, metric.help, tuple(metric.labels), registry=self.registry, **more)

    def _counted(self, name: str) -> Counts:
        """A counter of the catalogue that moves with every frame."""
        metric = BY_NAME[name]
        assert metric.kind == "counter"
        return Counts(metric, self.registry)

    def _spread(self, name: str) -> Spreads:
        """A histogram of the catalogue that moves with every frame."""
        metric = BY_NAME[name]
        assert metric.kind == "histogram"
        return Spreads(metric, self.registry)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

    def session_closed(self, reason: str) -> None:
        """A session was closed."""
        self._closed.labels(_listed("sessions_closed_total", "reason", reason)).inc()

    def admission(self, refused: str = "") -> None:
        """A session was asked for, and refused for that reason (a short name from a closed list) if one is given."""
        self._admission.labels("refused" if refused else "admitted", refused).inc()

    def connection_opened(self) -> None:
        """A socket was opened."""
        self._connections.inc()
        self._connections_opened.inc()

    def connection_closed(self, code: int) -> None:
        """A socket was closed, with the code that its end was told or told us."""
        self._connections.dec()
        # Clients may invent codes; labels are a closed set.
        known = 1000 <= code <= 1015 or code in range(4400, 4504)
        self._connections_closed.labels(str(code) if known else "other").inc()

    def resumed(self, result: str, seconds: float | None = None) -> None:
        """Someone wanted to take a session up again; how that ended, and how long it took where it succeeded."""
        self._resumed.labels(_listed("resume_total", "result", result)).inc()
        if seconds is not None:
            self._resume_seconds.observe(seconds)

    def store_op(self, operation: str, seconds: float, *, failed: bool = False) -> None:
        """An operation of the session store ended, well or not; its name is from a closed list."""
        self._store_seconds.labels(operation).observe(seconds)
        if failed:
            self._store_errors.labels(operation).inc()

    def store_up(self, up: bool) -> None:
        """Whether the session store answers."""
        self._store_up.set(up)

    def sent(self, seconds: float) -> None:
        """A result was sent, so long after it was ready."""
        self._stages[Stage.SEND].observe(seconds)

    def tally(self, model: str) -> ModelTally:
        """Where the sessions of the model of that name count."""
        if model not in self._tallies:
            self._tallies[model] = ModelTally(self, model)
        return self._tallies[model]

    def forget(self, model: str) -> None:
        """No model of that name is left: its series end, so that there are never more than there are models."""
        if (tally := self._tallies.pop(model, None)) is not None:
            tally.end()

    def batch(self, device: str, outcomes: list[Outcome], seconds: float) -> None:
        """A batch was worked off on that device."""
        self._busy.labels(device).inc(seconds)
        for outcome in outcomes:
            if outcome.estimates:
                timings = outcome.timings
                for stage in _IN_BATCH:
                    self._stages[stage].observe(getattr(timings, stage) / 1e3)

    def relief(self, cadence: int) -> None:
        """From now on the network looks at one of so many frames at least."""
        self._cadence.set(cadence)

    def http(self, route: str, method: str, code: int, seconds: float) -> None:
        """An HTTP request was answered; `route` is the template, never the path."""
        self._http.labels(route, method, str(code)).inc()
        self._http_seconds.labels(route, method).observe(seconds)

    def warmed(self, seconds: float) -> None:
        """The models are ready."""
        self._warmup.set(seconds)

    async def watch_loop(self) -> None:
        """Measures the event loop's lag until cancelled."""
        while True:
            began = perf_counter()
            await asyncio.sleep(LAG_INTERVAL_S)
            self._lag.observe(max(0.0, perf_counter() - began - LAG_INTERVAL_S))


def _listed(metric: str, label: str, value: str) -> str:
    """The value if the catalogue lists it, else `other`, so that a label stays a closed set."""
    return value if value in BY_NAME[metric].labels[label].names else "other"
