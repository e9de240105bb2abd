"""What a server writes about a session's life, and about those who were turned away."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from service.telemetry.events import EVENTS
from service.telemetry.logs import configure_logs
from tests.drawing import Drawing
from tests.end_to_end.conftest import StartServer, opened
from tests.end_to_end.guarding import KeyFile, bearer

DRAWING = Drawing()


@contextmanager
def _json_lines() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level, usual = root.handlers, root.level, structlog.get_config()
    configure_logs("info", "json")
    try:
        yield
    finally:
        root.handlers = handlers
        root.setLevel(level)
        structlog.configure(**usual)


async def test_a_session_and_its_socket_have_a_line_each_at_their_end(
    start_server: StartServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = KeyFile(tmp_path / "keys.toml")
    key = keys.new("camera-1")
    with _json_lines():
        server = start_server({"auth": {"keys": str(keys.path)}})
        with pytest.raises(InvalidStatus):
            async with connect(server.ws + "/v1/stream"):
                pass
        async with opened(server, additional_headers=bearer(key)) as talk:
            targets = [{"id": "t", "box": list(DRAWING.box(0).xywh())}]
            welcome = await talk.ask(
                {"type": "hello", "client": {"name": "door", "version": "2"}, "create": {"targets": targets}}, "welcome"
            )
            for index in range(3):
                await talk.ask(DRAWING.jpeg(index), "result")
        await asyncio.to_thread(server.stop)
    text = capsys.readouterr().err
    lines = [json.loads(line) for line in text.splitlines()]
    assert {line["event"] for line in lines} <= EVENTS.keys()
    assert all(secret not in text for secret in (key[17:], "127.0.0.1", "camera-1"))
    (refused,) = [line for line in lines if line["event"] == "socket_refused"]
    assert (refused["code"], refused["peer_prefix"]) == ("unauthenticated", "127.0.0.0/24")
    (opening,) = [line for line in lines if line["event"] == "session_open"]
    (closing,) = [line for line in lines if line["event"] == "session_close"]
    (socket,) = [line for line in lines if line["event"] == "socket_close"]
    for line in (opening, closing, socket):
        assert line["session"] == welcome["session"]
        assert line["tenant_hash"] == opening["tenant_hash"] is not None
    assert (closing["received"], closing["processed"], closing["dropped"], closing["rejected"]) == (3, 3, 0, 0)
    assert (closing["reason"], closing["model"]) == ("socket_closed", "dummy")
    assert (socket["code"], socket["epoch"], socket["peer_prefix"]) == (1000, 1, "127.0.0.0/24")
    assert socket["client"] == "door 2"
    assert 0 <= socket["dur_ms"] <= 20_000
    assert len(lines) < 12  # nothing per frame
