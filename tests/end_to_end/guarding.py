"""What tests of a server with keys share: its file of keys, and callers with and without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from service.security.keys import ORDINARY_SCOPES, new_key, read_keys, write_keys
from service.security.principals import Scope
from tests.drawing import Drawing
from tests.end_to_end.conftest import RunningServer, Talk

DRAWING = Drawing()
BOX = list(DRAWING.box(0).xywh())


class KeyFile:
    """A file of keys that servers may use meanwhile."""

    def __init__(self, path: Path) -> None:
        self.path = path
        write_keys(path, [])

    def new(self, client: str, *scopes: Scope) -> str:
        """A new key of that client, by default with the ordinary scopes."""
        key, record = new_key(client, scopes or ORDINARY_SCOPES, "")
        write_keys(self.path, [*read_keys(self.path).values(), record])
        return key

    def revoke(self, client: str) -> None:
        """Takes that client's keys away."""
        write_keys(self.path, [record for record in read_keys(self.path).values() if record.client != client])


def bearer(key: str) -> dict[str, str]:
    """The header of a caller with that key."""
    return {"Authorization": f"Bearer {key}"}


def rest(server: RunningServer, key: str | None = None) -> httpx.AsyncClient:
    """A caller of the REST doors."""
    return httpx.AsyncClient(base_url=server.http, headers={} if key is None else bearer(key))


async def refused(server: RunningServer, path: str = "/v1/stream", **arguments: Any) -> Response:
    """The answer to a handshake that must not come off."""
    with pytest.raises(InvalidStatus) as caught:
        async with connect(server.ws + path, **arguments):
            pass
    return caught.value.response


def offer(ticket: str) -> list[Subprotocol]:
    """The sub-protocols of a caller with that ticket."""
    return [Subprotocol("lockon.v1"), Subprotocol(f"lockon.ticket.{ticket}")]


async def streams(server: RunningServer, **arguments: Any) -> None:
    """Opens /v1/stream and follows one target for a frame."""
    async with connect(server.ws + "/v1/stream", **arguments) as socket:
        talk = Talk(socket)
        await talk.ask({"type": "hello", "create": {"targets": [{"box": BOX}]}}, "welcome")
        assert (await talk.ask(DRAWING.jpeg(0), "result"))["targets"][0]["state"] == "initializing"
