"""Traces over OTLP/HTTP. Spans are made when a result has been sent, from times that were measured anyway: until then
nobody pays for them, and a frame that turned out slow can still be chosen."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from time import perf_counter_ns
from typing import TYPE_CHECKING, NamedTuple
from weakref import WeakKeyDictionary

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from service.settings_sections import TelemetrySettings

if TYPE_CHECKING:
    from service.engine.outbox import ResultDraft
    from service.engine.session import Session

EXPORT_TIMEOUT_S = 5.0
CLOSE_TIMEOUT_S = 1.0
SLOW_PER_S = 10.0
"""Most traces of slow frames in a second, of all sessions: an overloaded server has nothing else."""

_W3C = TraceContextTextMapPropagator()
Value = str | int | float | bool


class _Part(NamedTuple):
    """A child span of a frame's, in seconds of the monotonic clock."""

    name: str
    began_s: float
    ended_s: float
    attributes: Mapping[str, Value]


class OtlpTraces:
    """Sends to the endpoint of the settings, in a thread of its own that drops what it cannot get rid of."""

    def __init__(self, settings: TelemetrySettings) -> None:
        self.settings = settings
        resource = Resource.create({SERVICE_NAME: "lockon", SERVICE_VERSION: version("lockon")})
        self._provider = TracerProvider(sampler=ALWAYS_ON, resource=resource, shutdown_on_exit=False)
        endpoint = f"{str(settings.otlp_endpoint).rstrip('/')}/v1/traces"
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=EXPORT_TIMEOUT_S)))
        self.tracer = self._provider.get_tracer("lockon")
        self._parents: WeakKeyDictionary[Session, SpanContext] = WeakKeyDictionary()
        self._earlier: WeakKeyDictionary[Session, SpanContext] = WeakKeyDictionary()
        self._slow_s = 0.0

    def created(self, session: Session, parent: str | None) -> None:
        """A session was created over HTTP, as part of a trace of the caller's."""
        if (context := _remote(parent)) is not None:
            self._parents[session] = context

    def attached(self, session: Session, parent: str | None) -> SessionSpan | None:
        """A socket was attached; its span is a child of the caller's, and is linked to the socket before it."""
        remote = _remote(parent) or self._parents.get(session)
        if remote is not None and not remote.trace_flags.sampled:
            return None
        earlier = self._earlier.get(session)
        span = self.tracer.start_span(
            "lockon.session",
            Context() if remote is None else set_span_in_context(NonRecordingSpan(remote), Context()),
            kind=SpanKind.SERVER,
            links=[] if earlier is None else [Link(earlier)],
            attributes={
                "lockon.session": session.id,
                "lockon.model": session.model.id,
                "lockon.epoch": session.epoch,
                "network.protocol.name": "websocket",
            },
        )
        self._earlier[session] = span.get_span_context()
        return SessionSpan(self, span)

    def wanted(self, age_s: float, now_s: float) -> str | None:
        """Why a frame of that age is traced; None if it is not."""
        if random.random() < self.settings.trace_sample:
            return "sampled"
        if age_s * 1e3 >= self.settings.trace_slow_ms and now_s - self._slow_s >= 1 / SLOW_PER_S:
            self._slow_s = now_s
            return "slow"
        return None

    def close(self) -> None:
        """Sends what waits to be sent, as far as that is quick."""
        # It waits for as long as a collector keeps them waiting; the process does not wait for a daemon.
        closing = threading.Thread(target=self._provider.shutdown, name="lockon-traces-close", daemon=True)
        closing.start()
        closing.join(CLOSE_TIMEOUT_S)


class SessionSpan:
    """The span of a socket's life, and below it those of its frames."""

    def __init__(self, traces: OtlpTraces, span: Span) -> None:
        self._traces = traces
        self._span = span
        self._context = set_span_in_context(span, Context())
        self.trace_id = f"{span.get_span_context().trace_id:032x}"

    def answered(self, draft: ResultDraft, sent_s: float) -> None:
        """A result was sent: its frame becomes a span if it was chosen, with one below for each stage."""
        began_s = draft.received_s - draft.excess_s
        reason = self._traces.wanted(sent_s - began_s, sent_s)
        if reason is None:
            return
        # The wall clock may be set while the server runs, so it is asked anew for each frame.
        epoch_ns = time.time_ns() - perf_counter_ns()
        tracer = self._traces.tracer

        def ns(seconds: float) -> int:
            return epoch_ns + round(seconds * 1e9)

        attributes: dict[str, Value] = {
            "lockon.seq": draft.seq,
            "lockon.chosen": reason,
            "lockon.states": ",".join(target["state"] for target in draft.targets),
        }
        frame = tracer.start_span("lockon.frame", self._context, start_time=ns(began_s), attributes=attributes)
        context = set_span_in_context(frame, Context())
        for part in _parts(draft, sent_s):
            span = tracer.start_span(part.name, context, start_time=ns(part.began_s), attributes=part.attributes)
            span.end(ns(part.ended_s))
        frame.end(ns(sent_s))

    def end(self, code: int) -> None:
        """The socket was closed."""
        self._span.set_attribute("lockon.close.code", code)
        self._span.end()


def _parts(draft: ResultDraft, sent_s: float) -> Iterator[_Part]:
    received_s, stages = draft.received_s, draft.stages
    yield _Part("receive", received_s - draft.excess_s, received_s, {"lockon.bytes": draft.size})
    if stages is not None:
        decoding_s = received_s + stages.wait / 1e3
        yield _Part("wait", received_s, decoding_s, {})
        yield _Part("decode", decoding_s, decoding_s + stages.decode / 1e3, {})
        if stages.searched_s:
            network_s = stages.searched_s - stages.infer / 1e3
            yield _Part("crop", stages.stepped_s, network_s, {})
            yield _Part("network", network_s, stages.searched_s, {"lockon.batch.size": stages.batch})
            yield _Part("choose", stages.searched_s, stages.searched_s + stages.post / 1e3, {})
    yield _Part("send", draft.done_s, sent_s, {})


def _remote(parent: str | None) -> SpanContext | None:
    if parent is None:
        return None
    context = get_current_span(_W3C.extract({"traceparent": parent}, Context())).get_span_context()
    return context if context.is_valid else None
