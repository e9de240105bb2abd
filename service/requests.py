"""uvicorn's HTTP protocol, with an end to the head of every request: one that is endless in size, number of headers or
time may cost neither memory nor a descriptor for long."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.api.problems import STATUS, problem_response

MAX_HEAD_BYTES = 32 * 1024
"""Of the address and all headers of a request."""
MAX_HEADERS = 100


class HeadTooLarge(Exception):
    """More than is taken."""


class BoundedRequests(HttpToolsProtocol):
    """Refuses heads that are too large (431) or not there after `timeout_s` (408); and says 400 as a problem."""

    def __init__(self, *args: Any, timeout_s: float, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._timeout_s = timeout_s
        self._begun = False
        self._head_bytes = 0
        self._code = "malformed-request"
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection on which nothing was said yet."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(self._timeout_s, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is gone."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a request. The parser keeps what it has of a header's value, however long that becomes."""
        continued = self._begun
        super().data_received(data)
        if self._begun and continued:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse("headers-too-large")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._begun, self._head_bytes = True, 0
        self._stop_timer()
        self._timer = self.loop.call_later(self._timeout_s, self._late)

    def on_headers_complete(self) -> None:
        """The end of the head; the parser turns what is raised here into the refusal below."""
        self._begun = False
        self._stop_timer()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if len(self.headers) > MAX_HEADERS or size > MAX_HEAD_BYTES:
            self._code = "headers-too-large"
            raise HeadTooLarge
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hands the connection over, and ends as uvicorn ends it otherwise: without the circle through the parser."""
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]

    def send_400_response(self, msg: str) -> None:
        """The refusal of what is no request that is taken."""
        self._refuse(self._code)

    def _late(self) -> None:
        if self._begun:
            self._refuse("request-timeout")
        else:
            self.transport.close()

    def _refuse(self, code: str) -> None:
        self._begun = False
        self._stop_timer()
        response = problem_response(code, "the request's head cannot be taken")
        headers = [*response.raw_headers, (b"connection", b"close")]
        lines = [f"HTTP/1.1 {STATUS[code]} ".encode(), b"\r\n"]
        lines += [part for name, value in headers for part in (name, b": ", value, b"\r\n")]
        self.transport.write(b"".join([*lines, b"\r\n", bytes(response.body)]))
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def bounded_requests(timeout_s: float) -> type[asyncio.Protocol]:
    """The protocol class for uvicorn's configuration."""
    return cast("type[asyncio.Protocol]", partial(BoundedRequests, timeout_s=timeout_s))
