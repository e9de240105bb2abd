"""uvicorn's WebSocket protocol, with an end to every connection: a peer that takes nothing may cost neither memory nor
a descriptor for longer than the send timeout."""

from __future__ import annotations

import asyncio
import socket
import struct
from functools import partial
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class BoundedProtocol(WebSocketsSansIOProtocol):
    """Cuts the line `grace_s` after the application is done with it, and at once where the peer had stopped reading.

    Closing a transport alone waits until everything is sent, which never comes to an end with a peer that keeps the
    connection up and reads nothing."""

    def __init__(self, *args: Any, grace_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = grace_s
        self._grace_s = grace_s
        self._cut: asyncio.TimerHandle | None = None

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone, one way or another."""
        if self._cut is not None:
            self._cut.cancel()
        super().connection_lost(exc)

    def handle_ping(self) -> None:
        """Answers a ping, unless earlier answers wait to be read: pings without end would fill the memory with them."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    async def run_asgi(self) -> None:
        """The application, and then the end of the line."""
        try:
            await super().run_asgi()
        finally:
            if not self.disconnected:
                stalled = not self.writable.is_set()
                self._cut = self.loop.call_later(0.0 if stalled else self._grace_s, self._reset)

    def _reset(self) -> None:
        # Closed without lingering, the kernel tells the peer at once. Else it keeps what the peer has not read, and the
        # end behind it, for as long as the peer takes nothing.
        peer = self.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def send(self, message: Any) -> None:
        """As uvicorn's, but a refused handshake counts as completed, so that it is not logged as a failure of ours."""
        await super().send(message)
        if self.close_sent:
            self.handshake_complete = True


def bounded_protocol(grace_s: float) -> type[asyncio.Protocol]:
    """The protocol class for uvicorn's configuration."""
    return cast("type[asyncio.Protocol]", partial(BoundedProtocol, grace_s=grace_s))
