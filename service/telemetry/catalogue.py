"""The catalogue of metrics: each one's name, type, labels and meaning, once. `service.telemetry.metrics` makes them,
`service.telemetry.documents` writes them down."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from service.engine.counters import Drop
from service.protocol.header import Reason

PREFIX = "lockon_"

AGES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2, 5)
STAGE_TIMES = tuple(0.00025 * 2**i for i in range(12))
BATCHES = (1, 2, 4, 8, 16, 32, 64)
LAGS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1)
TENTHS = tuple(round(0.1 * i, 1) for i in range(1, 11))
LOST_TIMES = (0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300)
OPERATION_TIMES = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.25, 0.5, 1)
INTERVALS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2, 5)


class Stage(StrEnum):
    """What a frame goes through in the server, in this order."""

    WAIT = "wait"
    DECODE = "decode"
    PREP = "prep"
    INFER = "infer"
    POST = "post"
    SEND = "send"


@dataclass(frozen=True, slots=True)
class Values:
    """What a label may be: these names, or something else of which there are never more than `most`."""

    names: tuple[str, ...] = ()
    most: int = 0
    said: str = ""

    @property
    def count(self) -> int:
        """Most values that there will ever be at once."""
        return self.most or len(self.names)

    def __str__(self) -> str:
        return self.said or ", ".join(f"`{name}`" if name else "empty" for name in self.names)


def _named(*names: str) -> Values:
    return Values(tuple(names))


MODELS = Values(most=16, said="a loaded model")
DEVICES = Values(most=16, said="what the graphs run on, such as `cpu`")
CODES = Values(most=120, said="a close code that this server knows, or `other`")
ROUTES = Values(most=40, said="the route's template, `page` for files of the page, or `unknown`")
METHODS = _named("GET", "HEAD", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "other")
STATUSES = Values(most=30, said="the HTTP status")
TARGET_STATES = _named("initializing", "tracking", "uncertain", "lost", "reacquired")
RESUMPTIONS = _named(
    "ok",
    "snapshot",
    "bad_token",
    "expired",
    "unknown",
    "stale_epoch",
    "elsewhere",
    "store_away",
    "unreadable",
    "version",
    "other",
)
STORE_OPERATIONS = _named("acquire", "announce", "delete", "home", "ping", "place", "save")


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. `name` is without the prefix and as Prometheus shows it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, Values] = field(default_factory=dict)
    buckets: Sequence[float] = ()

    @property
    def full_name(self) -> str:
        """The name in queries."""
        return PREFIX + self.name

    @property
    def most_series(self) -> int:
        """Series that this metric will never exceed, whatever clients do."""
        children = math.prod(values.count for values in self.labels.values())
        return children * (len(self.buckets) + 3 if self.kind == "histogram" else 1)


_MODEL = {"model": MODELS}

METRICS = (
    Metric(
        "sessions",
        "gauge",
        "Sessions that exist. Detached ones have no socket now and can be resumed until their time is up",
        {"state": _named("created", "live", "detached"), **_MODEL},
    ),
    Metric(
        "sessions_closed_total",
        "counter",
        "Sessions that ended, by what ended them",
        {"reason": _named("bye", "deleted", "expired", "internal", "shutdown", "socket_closed", "superseded", "other")},
    ),
    Metric(
        "admission_total",
        "counter",
        "Sessions asked for. Refused for capacity: the machine is full; for quota: that caller has enough",
        {"result": _named("admitted", "refused"), "reason": _named("", "capacity", "quota")},
    ),
    Metric("connections", "gauge", "Sockets that are open, one for each live stream"),
    Metric("connections_opened_total", "counter", "Sockets that were accepted"),
    Metric(
        "connections_closed_total",
        "counter",
        "Sockets that ended, by close code: 1006 is a line that broke, 44xx are refusals of this server",
        {"code": CODES},
    ),
    Metric(
        "frames_received_total",
        "counter",
        "Binary messages that came. Received = processed + dropped + rejected + waiting",
        {**_MODEL, "kind": _named("full", "window")},
    ),
    Metric("frames_processed_total", "counter", "Frames that were answered", _MODEL),
    Metric(
        "frames_dropped_total",
        "counter",
        "Good frames that were not processed. `newer` is normal for live video: a newer frame took the place",
        {"reason": _named(*Drop)},
    ),
    Metric(
        "frames_rejected_total",
        "counter",
        "Frames that could not be used: a client is broken or hostile",
        {"reason": _named(*Reason)},
    ),
    Metric("frames_waiting", "gauge", "Frames that were received and whose fate is open"),
    Metric("frame_age_seconds", "histogram", "From a frame's arrival to its answer being ready", _MODEL, AGES),
    Metric(
        "frame_delay_seconds",
        "histogram",
        "How much later than the best of the last minutes a frame arrived, by its own time stamp: queues in the "
        "network and in the client. Frames without a time stamp are not counted",
        _MODEL,
        AGES,
    ),
    Metric(
        "frame_interval_seconds",
        "histogram",
        "Time between two frames of a session: at the camera by their time stamps, at the server by their arrival. "
        "Long at both: the camera; long at the server alone: the network",
        {"at": _named("camera", "server")},
        INTERVALS,
    ),
    Metric(
        "stage_seconds",
        "histogram",
        "Time that a frame spends in a stage: waiting for a worker, decoding, cutting the search region, in the "
        "network, choosing the box, waiting to be sent",
        {"stage": _named(*Stage)},
        STAGE_TIMES,
    ),
    Metric("batch_size", "histogram", "Targets in one run of the search graph", _MODEL, BATCHES),
    Metric(
        "infer_busy_seconds_total",
        "counter",
        "Time that workers had a batch; its rate, divided by the workers, is how full the machine is",
        {"device": DEVICES},
    ),
    Metric(
        "workers",
        "gauge",
        "Threads that work off frames: as many as configured, and those still alive",
        {"state": _named("configured", "alive")},
    ),
    Metric(
        "cadence",
        "gauge",
        "The network looks at one of so many frames at least, for sessions that leave it to the server: 1 unless "
        "frames are lost for want of time",
    ),
    Metric(
        "capacity_frames_per_second",
        "gauge",
        "Frames that all workers together can work off, by what the last ones took; no series until some were",
        {**_MODEL, "device": DEVICES},
    ),
    Metric(
        "faults_total",
        "counter",
        "Frames that were lost to a fault of the model's or of the server's; the log has the traceback",
        _MODEL,
    ),
    Metric(
        "session_rate_ratio",
        "histogram",
        "Share that a session got, every 10 s, of the frames it sent or was promised, whichever are fewer",
        _MODEL,
        TENTHS,
    ),
    Metric(
        "fairness_jain",
        "gauge",
        "Jain's index, over 10 s, of the shares of their frames that the live sessions got: 1 is even, 1/n is one "
        "session taking all",
        _MODEL,
    ),
    Metric(
        "target_transitions_total",
        "counter",
        "Changes of a target's state",
        {"from": TARGET_STATES, "to": TARGET_STATES, **_MODEL},
    ),
    Metric("target_lost_seconds", "histogram", "How long targets had been lost when found again", _MODEL, LOST_TIMES),
    Metric("results_coalesced_total", "counter", "Results replaced by a newer one before a slow client took them"),
    Metric(
        "resume_total",
        "counter",
        "Attempts to take a session up again, by how they ended",
        {"result": RESUMPTIONS},
    ),
    Metric("resume_seconds", "histogram", "Time to take a session up again", buckets=AGES),
    Metric(
        "store_op_seconds",
        "histogram",
        "Time of an operation of the session store",
        {"op": STORE_OPERATIONS},
        OPERATION_TIMES,
    ),
    Metric(
        "store_errors_total",
        "counter",
        "Operations of the session store that failed or took too long",
        {"op": STORE_OPERATIONS},
    ),
    Metric(
        "store_up",
        "gauge",
        "0 while the session store does not answer; always 1 where sessions are kept in memory alone",
    ),
    Metric(
        "event_loop_lag_seconds",
        "histogram",
        "How late the event loop woke up; above 50 ms something blocks every socket",
        buckets=LAGS,
    ),
    Metric(
        "memory_bytes",
        "gauge",
        "Memory in use: compressed frames that are kept, what targets remember, and the whole process",
        {"kind": _named("frames", "state", "rss")},
    ),
    Metric(
        "http_requests_total",
        "counter",
        "HTTP requests that were answered",
        {"route": ROUTES, "method": METHODS, "code": STATUSES},
    ),
    Metric("http_request_seconds", "histogram", "Time of an HTTP request", {"route": ROUTES, "method": METHODS}, AGES),
    Metric("warmup_seconds", "gauge", "Time that the models took to be loaded and warmed at the start"),
    Metric("build_info", "gauge", "1, with the running version", {"version": Values(most=1, said="the version")}),
)

BY_NAME = {metric.name: metric for metric in METRICS}
