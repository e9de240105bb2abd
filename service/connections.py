"""uvicorn's WebSocket protocol, with an end to every connection: a peer that takes nothing, or sends a message bit by
bit, may cost neither memory nor a descriptor for much longer than the send timeout. And with a short way for frames and
their results: through ASGI each takes two more turns of the event loop."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.protocol import State

LINE = "lockon.line"
"""The extension in an ASGI scope that gives the application its socket's protocol, while it runs."""
MAX_FRAGMENTS = 1024
"""Fragments of one message: each costs far more than the byte that it may hold."""
SLOWEST_BYTES_PER_S = 16_000


class BoundedProtocol(WebSocketsSansIOProtocol):
    """Cuts the line `grace_s` after the application is done with it, and at once where the peer had stopped reading.

    Closing a transport alone waits until everything is sent, which never comes to an end with a peer that keeps the
    connection up and reads nothing."""

    def __init__(self, *args: Any, grace_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.close_timeout = grace_s
        self._grace_s = grace_s
        self._cut: asyncio.TimerHandle | None = None
        self._taken = 0
        self._began_s: float | None = None  # when the message began that is not complete yet
        self._begun_bytes = 0
        self._watch: asyncio.TimerHandle | None = None
        self._take: Callable[[bytes], None] | None = None
        self._diverted = False

    def divert(self, take: Callable[[bytes], None] | None) -> None:
        """From now on binary messages go straight to `take`, but for those that find others before them; None ends
        that. Of messages that came together the later ones go the long way, so that other sockets have their turn."""
        self._take = take

    @property
    def ready(self) -> bool:
        """Whether a message can be sent, and need not wait until the peer has read earlier ones."""
        broken = self.transport.is_closing() or self.close_sent or self.conn.state is not State.OPEN
        return not broken and self.writable.is_set()

    def send_now(self, text: bytes) -> None:
        """Sends a text message; to be called only while `ready`."""
        self.conn.send_text(text)
        self.transport.write(b"".join(self.conn.data_to_send()))

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone, one way or another."""
        for timer in (self._cut, self._watch):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)
        # It stands in a circle with `conn`, and would keep the last message until the garbage collector comes by.
        self.conn.parser.close()

    def data_received(self, data: bytes) -> None:
        """Bytes of the peer's; a message has to be complete some time after its first ones."""
        taken, self._diverted = self._taken, False
        super().data_received(data)
        if self._taken > taken or not self._in_message:
            self._began_s = None
        if self._in_message and not self.close_sent:
            if self._began_s is None:
                self._began_s, self._begun_bytes = self.loop.time(), 0
            self._begun_bytes += len(data)
            if self._watch is None:
                self._watch = self.loop.call_later(self._grace_s, self._look)

    @property
    def _in_message(self) -> bool:
        return bool(self.frames or self.conn.reader.buffer)

    def _look(self) -> None:
        """Ends the connection of a peer that has been too slow with its message."""
        self._watch = None
        if self._began_s is None or self.close_sent:
            return
        now_s = self.loop.time()
        if self.read_paused:  # it is not the peer that holds the message up
            self._began_s = now_s
        end_s = self._began_s + self._grace_s + self._begun_bytes / SLOWEST_BYTES_PER_S
        if now_s < end_s:
            self._watch = self.loop.call_later(end_s - now_s, self._look)
        else:
            self._refuse(4408, "timeout: a message came too slowly")

    def handle_cont(self, event: Any) -> None:
        """Takes in one more fragment of a message, unless there are too many."""
        if self.close_sent:
            return
        if len(self.frames) >= MAX_FRAGMENTS:
            self._refuse(1008, f"policy: a message has at most {MAX_FRAGMENTS} fragments")
            return
        super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        """A message is complete."""
        self._taken += 1
        binary = self.curr_msg_data_type == "bytes"
        if self._take is None or self._diverted or not binary or self.close_sent or not self.queue.empty():
            super().send_receive_event_to_app()
            return
        self._diverted = True
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        self._take(data)

    def _refuse(self, code: int, reason: str) -> None:
        self.frames = []
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self.conn.fail(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        # What still comes is read and thrown away: a connection that is closed before would take the reason with it.
        self.transport.write_eof()

    def handle_ping(self) -> None:
        """Answers a ping, unless earlier answers wait to be read: pings without end would fill the memory with them."""
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()

    async def run_asgi(self) -> None:
        """The application, and then the end of the line."""
        extensions = cast("dict[str, Any]", self.scope["extensions"])
        extensions[LINE] = self
        try:
            await super().run_asgi()
        finally:
            del extensions[LINE]  # else the two would keep each other
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
