"""Prometheus metrics, prefix `lockon_`. Labels are closed sets; children are made once and kept."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from service.engine.counters import Drop
from service.engine.jobs import Outcome
from service.protocol.header import Reason

AGE_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5)
STAGE_BUCKETS = tuple(0.00025 * 2**i for i in range(12))
BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64)
LAG_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)
STAGES = ("wait", "decode", "prep", "infer", "post", "send")
LAG_INTERVAL_S = 0.25

# One more series per counter and bucket set, of no use to anybody here.
disable_created_metrics()  # type: ignore[no-untyped-call]

_KINDS = {False: "full", True: "window"}


class Metrics:
    """Every metric of one server, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace="lockon", registry=registry)

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
            return Histogram(name, text, labels, namespace="lockon", registry=registry, buckets=buckets)

        def gauge(name: str, text: str, *labels: str) -> Gauge:
            return Gauge(name, text, labels, namespace="lockon", registry=registry)

        self._sessions = gauge("sessions", "Sessions that exist", "state", "model")
        self._closed = counter("sessions_closed_total", "Sessions closed", "reason")
        self._admission = counter("admission_total", "Sessions asked for", "result", "reason")
        self._connections = gauge("connections", "Open sockets")
        self._connections_opened = counter("connections_opened_total", "Sockets opened")
        self._connections_closed = counter("connections_closed_total", "Sockets closed", "code")
        self._received = counter("frames_received_total", "Binary messages that came", "model", "kind")
        self._processed = counter("frames_processed_total", "Frames answered", "model")
        self._dropped = counter("frames_dropped_total", "Good frames not processed", "reason")
        self._rejected = counter("frames_rejected_total", "Frames that could not be used", "reason")
        self._age = histogram("frame_age_seconds", "From arrival to answer", AGE_BUCKETS, "model")
        self._stage = histogram("stage_seconds", "Time of a frame in a stage", STAGE_BUCKETS, "stage")
        self._batch = histogram("batch_size", "Targets in one run of the graph", BATCH_BUCKETS, "model")
        self._busy = counter("infer_busy_seconds_total", "Time that workers were busy", "device")
        self._transitions = counter("target_transitions_total", "Changes of a target's state", "from", "to", "model")
        self.coalesced = counter("results_coalesced_total", "Results replaced before they could be sent")
        self._lag = histogram("event_loop_lag_seconds", "Delay of the event loop", LAG_BUCKETS)
        self._http = counter("http_requests_total", "HTTP requests", "route", "method", "code")
        self._http_seconds = histogram(
            "http_request_seconds", "Time of an HTTP request", AGE_BUCKETS, "route", "method"
        )
        self._warmup = gauge("warmup_seconds", "Time to load and warm the models")
        gauge("build_info", "The running version", "version").labels(version("lockon")).set(1)
        memory = gauge("memory_bytes", "Memory in use", "kind")
        memory.labels("rss").set_function(_resident_bytes)
        self.held_frames = memory.labels("frames")
        self._tallies: dict[str, ModelTally] = {}
        self._stages = {stage: self._stage.labels(stage) for stage in STAGES}
        for reason in Drop:
            self._dropped.labels(reason)
        for rejection in Reason:
            self._rejected.labels(rejection)

    def exposition(self) -> bytes:
        """The text that Prometheus reads."""
        return generate_latest(self.registry)

    def sessions(self, counts: Mapping[tuple[str, str], int]) -> None:
        """How many sessions there are now, by state and model."""
        self._sessions.clear()
        for (state, model), count in counts.items():
            self._sessions.labels(state, model).set(count)

    def session_closed(self, reason: str) -> None:
        """A session was closed."""
        self._closed.labels(reason).inc()

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

    def sent(self, seconds: float) -> None:
        """A result was sent, so long after it was ready."""
        self._stages["send"].observe(seconds)

    def waited(self, seconds: float) -> None:
        """A frame waited so long for a worker."""
        self._stages["wait"].observe(seconds)

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
                for stage in ("decode", "prep", "infer", "post"):
                    self._stages[stage].observe(getattr(timings, stage) / 1e3)

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


class ModelTally:
    """Fates of the frames of one model's sessions; obeys `service.engine.counters.Tally`."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._received = {window: metrics._received.labels(model, kind) for window, kind in _KINDS.items()}
        self._processed = metrics._processed.labels(model)
        self._age = metrics._age.labels(model)
        self._dropped = {reason: metrics._dropped.labels(reason) for reason in Drop}
        self._rejected = {reason: metrics._rejected.labels(reason) for reason in Reason}
        self._batch = metrics._batch.labels(model)
        self._transitions: dict[tuple[str, str], Counter] = {}
        self._metrics = metrics
        self._model = model

    def received(self, *, window: bool) -> None:
        """A binary message came, of a full frame or of a window."""
        self._received[window].inc()

    def processed(self, age_s: float) -> None:
        """A frame was answered, so long after it came."""
        self._processed.inc()
        self._age.observe(age_s)

    def dropped(self, reason: Drop, count: int) -> None:
        """Good frames that are not processed."""
        self._dropped[reason].inc(count)

    def rejected(self, reason: Reason) -> None:
        """A frame that could not be used."""
        self._rejected[reason].inc()

    def moved(self, before: str, after: str) -> None:
        """A target changed its state."""
        transition = self._transitions.get((before, after))
        if transition is None:
            transition = self._metrics._transitions.labels(before, after, self._model)
            self._transitions[before, after] = transition
        transition.inc()

    def ran(self, targets: int) -> None:
        """The network was run for so many targets at once."""
        self._batch.observe(targets)

    def end(self) -> None:
        """Takes the model's series out of the exposition."""
        metrics = self._metrics
        for kind in _KINDS.values():
            metrics._received.remove(self._model, kind)
        for family in (metrics._processed, metrics._age, metrics._batch):
            family.remove(self._model)
        for before, after in self._transitions:
            metrics._transitions.remove(before, after, self._model)


def _resident_bytes() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    return float(pages * resource.getpagesize())
