"""Traces, as a collector gets them: real bytes on a real port, decoded by OpenTelemetry's own messages."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.drawing import Drawing
from tests.end_to_end.conftest import MUST, TS_VALID, RunningServer, StartServer, opened, with_header
from tests.waiting import until

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-00"
STAGES = ["receive", "wait", "decode", "crop", "network", "choose", "send"]


class Collector:
    """Takes what is sent by OTLP/HTTP."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resource: dict[str, str] = {}
        self.paths: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.take(self.path, self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, path: str, body: bytes) -> None:
        """One request."""
        self.paths.add(path)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resource |= {each.key: each.value.string_value for each in resource.resource.attributes}
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def named(self, name: str) -> list[Any]:
        """The spans of that name, the earliest first."""
        return sorted((span for span in self.spans if span.name == name), key=lambda span: span.start_time_unix_nano)

    def under(self, parent: Any) -> list[Any]:
        """The children of a span, the earliest first."""
        found = [span for span in self.spans if span.parent_span_id == parent.span_id]
        return sorted(found, key=lambda span: (span.start_time_unix_nano, STAGES.index(span.name)))

    def stop(self) -> None:
        """Ends the server."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector on a port of its own."""
    running = Collector()
    yield running
    running.stop()


def _attributes(span: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in span.attributes}


async def _followed(
    server: RunningServer, path: str = "/v1/stream", count: int = 3, hello: dict[str, Any] | None = None, **headers: str
) -> str:
    """Streams frames of one target; the session's id."""
    async with opened(server, path, additional_headers=headers) as talk:
        create = {"create": {"targets": [{"id": "t", "box": FIRST}]}} if path == "/v1/stream" else {}
        welcome = await talk.ask({"type": "hello", **create, **(hello or {})}, "welcome")
        for index in range(count):
            frame = with_header(DRAWING.jpeg(index), index + 1, flags=TS_VALID | MUST, ts_us=33_333 * (index + 1))
            await talk.ask(frame, "result")
    return str(welcome["session"])


def _traced(start_server: StartServer, collector: Collector, **more: float) -> RunningServer:
    return start_server({"telemetry": {"otlp_endpoint": collector.address, "trace_sample": 1.0, **more}})


async def test_a_frame_is_traced_through_all_its_stages_below_the_callers_span(
    start_server: StartServer, collector: Collector
) -> None:
    server = _traced(start_server, collector)
    session = await _followed(server, traceparent=SAMPLED)
    await asyncio.to_thread(server.stop)
    assert collector.paths == {"/v1/traces"}
    assert collector.resource["service.name"] == "lockon"
    assert {span.trace_id.hex() for span in collector.spans} == {TRACE}
    (root,) = collector.named("lockon.session")
    assert root.parent_span_id.hex() == PARENT
    said = _attributes(root)
    assert (said["lockon.session"], said["lockon.model"], said["lockon.epoch"]) == (session, "dummy", 1)
    assert (said["network.protocol.name"], said["lockon.close.code"]) == ("websocket", 1000)
    frames = collector.named("lockon.frame")
    assert [_attributes(frame)["lockon.seq"] for frame in frames] == [1, 2, 3]
    assert all(frame.parent_span_id == root.span_id for frame in frames)
    assert _attributes(frames[1])["lockon.states"] == "tracking"
    # The target was started on the first frame: nothing was searched in it.
    assert [span.name for span in collector.under(frames[0])] == ["receive", "wait", "decode", "send"]
    stages = collector.under(frames[2])
    assert [span.name for span in stages] == STAGES
    for before, after in pairwise(stages):
        assert before.start_time_unix_nano <= before.end_time_unix_nano <= after.start_time_unix_nano + 1000
    assert stages[0].start_time_unix_nano == frames[2].start_time_unix_nano
    assert stages[-1].end_time_unix_nano == frames[2].end_time_unix_nano
    assert _attributes(stages[0])["lockon.bytes"] == len(DRAWING.jpeg(2))
    assert _attributes(stages[STAGES.index("network")])["lockon.batch.size"] == 1


async def test_a_session_that_goes_on_on_another_socket_is_linked_to_the_one_before(
    start_server: StartServer, collector: Collector
) -> None:
    server = _traced(start_server, collector)
    async with httpx.AsyncClient(base_url=server.http) as http:
        body = {"targets": [{"id": "t", "box": FIRST}]}
        created = await http.post("/v1/sessions", json=body, headers={"traceparent": SAMPLED})
    path = created.json()["stream_url"]
    await _followed(server, path, count=1)
    session = server.app.state.registry.find(created.json()["id"])
    await until(lambda: session.outbox is None)
    other = f"00-{'12' * 16}-{'34' * 8}-01"
    await _followed(server, path, count=0, hello={"trace": other})
    await asyncio.to_thread(server.stop)
    first, second = collector.named("lockon.session")
    assert (first.trace_id.hex(), first.parent_span_id.hex()) == (TRACE, PARENT)  # of the request that created it
    assert (second.trace_id.hex(), second.parent_span_id.hex()) == ("12" * 16, "34" * 8)  # of the hello
    assert [link.span_id for link in second.links] == [first.span_id]
    assert _attributes(second)["lockon.epoch"] == 2


async def test_callers_who_do_not_sample_are_not_traced_and_nonsense_counts_as_nothing(
    start_server: StartServer, collector: Collector
) -> None:
    server = _traced(start_server, collector)
    await _followed(server, traceparent=NOT_SAMPLED, count=1)
    await _followed(server, traceparent="00-zz-nonsense", count=1)
    await asyncio.to_thread(server.stop)
    (session,) = collector.named("lockon.session")
    assert session.trace_id.hex() != TRACE
    assert session.parent_span_id == b""


async def test_slow_frames_are_traced_although_none_is_sampled(start_server: StartServer, collector: Collector) -> None:
    server = _traced(start_server, collector, trace_sample=0.0, trace_slow_ms=0.0)
    await _followed(server, count=3)
    await asyncio.to_thread(server.stop)
    frames = collector.named("lockon.frame")
    assert 1 <= len(frames) <= 3  # at most ten in a second, of all sessions
    assert {_attributes(frame)["lockon.chosen"] for frame in frames} == {"slow"}


async def test_a_collector_that_is_away_harms_nobody_and_the_server_stops_in_time(start_server: StartServer) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # takes connections and never answers
        address = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        server = start_server({"telemetry": {"otlp_endpoint": address, "trace_sample": 1.0}})
        await _followed(server, count=3)
        async with asyncio.timeout(5.0):
            await asyncio.to_thread(server.stop)
