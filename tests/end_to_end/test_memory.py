"""What a server keeps of sessions that have come and gone: nothing that would have to wait for the garbage collector,
which comes by the more seldom the larger a process is, and may find many pictures and templates then."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from websockets.server import ServerProtocol

from service.api.connection import Connection
from service.connections import BoundedProtocol
from service.engine.jobs import Followed
from service.engine.outbox import Outbox
from service.engine.session import Session
from service.requests import BoundedRequests
from tests.benchmarks.wire import Wire, WireClosed
from tests.drawing import Drawing
from tests.end_to_end.conftest import RunningServer
from tests.waiting import until

DRAWING = Drawing(width=64, height=64, side=16)
KINDS = (Session, Followed, Outbox, Connection, BoundedProtocol, BoundedRequests, ServerProtocol)


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only what nobody refers to goes away."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def goes(wire: Wire) -> None:
    """The client is gone from one moment to the next."""
    wire.close()


def says_bye(wire: Wire) -> None:
    """The server closes the socket."""
    wire.say({"type": "bye"})
    _hear_out(wire)


def is_refused(wire: Wire) -> None:
    """The server closes the socket for what the client has done."""
    wire.say({"type": "hello"})
    _hear_out(wire)


def _hear_out(wire: Wire) -> None:
    with suppress(WireClosed):
        while True:
            wire.hear()
    wire.close()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("end", [goes, says_bye, is_refused])
async def test_a_session_that_is_over_leaves_nothing_for_the_garbage_collector(
    server: RunningServer, end: Callable[[Wire], None]
) -> None:
    before = _counted()
    for _ in range(3):
        wire = Wire("127.0.0.1", server.port, "/v1/stream")
        wire.say({"type": "hello", "create": {"targets": [{"box": DRAWING.box(0).xywh()}]}})
        wire.hear()
        for file in DRAWING.jpegs(3):
            wire.send(file)
            wire.hear()
        end(wire)
    await until(lambda: _counted() == before)


def _counted() -> Counter[str]:
    return Counter(kind.__name__ for kind in map(type, gc.get_objects()) if kind in KINDS)
