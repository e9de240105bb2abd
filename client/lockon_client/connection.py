"""Opens and closes the WebSocket, and turns the library's exceptions into this package's errors."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from urllib.parse import urljoin, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
from websockets.http11 import Response
from websockets.typing import Subprotocol

from lockon_client.errors import ConnectFailed, LockonError, from_close, from_refusal
from lockon_client.protocol import SUBPROTOCOL, TICKET_PREFIX, bye

_CLOSE_TIMEOUT_S = 3.0
# The largest text the protocol allows is 64 KiB; a server that sends more is not a Lockon server.
_MAX_TEXT_BYTES = 64 * 1024
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}


def stream_url(url: str) -> str:
    """The stream's address: `/v1/stream` where `url` has no path; http(s) becomes ws(s)."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in _SCHEMES and bool(parts.hostname) and parts.port != 0
    except ValueError as error:  # a port above 65535, or half an IPv6 address
        raise ConnectFailed(f"{url!r} is no address of a server: {error}") from error
    if not known:
        raise ConnectFailed(f"{url!r} is no address of a server; it looks like ws://127.0.0.1:8000")
    path = "/v1/stream" if parts.path in ("", "/") else parts.path
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))


def followed(address: str, url: str) -> str:
    """The address that a server at `address` names in a message: a path of the same host, or a whole one.

    Raises ConnectFailed for one that is not encrypted where this one is."""
    there = stream_url(urljoin(address, url))
    if address.startswith("wss:") and not there.startswith("wss:"):
        raise ConnectFailed(f"the server leads from an encrypted line to {there}, which is not")
    return there


async def left(socket: ClientConnection) -> None:
    """Says `bye` and closes the socket, in bounded time."""
    with suppress(ConnectionClosed, TimeoutError):
        async with asyncio.timeout(_CLOSE_TIMEOUT_S):
            await socket.send(bye())
    await socket.close()


async def connected(url: str, timeout_s: float, key: str | None = None, ticket: str | None = None) -> ClientConnection:
    """A socket with the Lockon sub-protocol.

    `key` is an API key or a token, `ticket` a single-use ticket; either where the server asks for one."""
    offered = [SUBPROTOCOL] if ticket is None else [SUBPROTOCOL, TICKET_PREFIX + ticket]
    try:
        return await connect(
            url,
            additional_headers={} if key is None else {"Authorization": f"Bearer {key}"},
            subprotocols=[Subprotocol(name) for name in offered],
            compression=None,  # images do not shrink, and each side would keep a context of tens of kilobytes
            max_size=_MAX_TEXT_BYTES,
            open_timeout=timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
        )
    except InvalidStatus as error:
        raise _refusal(error.response) from error
    except InvalidURI as error:
        raise ConnectFailed(f"{url!r} is not a WebSocket address") from error
    except TimeoutError as error:
        raise ConnectFailed(f"no answer from {url} within {timeout_s:g} s") from error
    except (OSError, InvalidHandshake, WebSocketException) as error:
        raise ConnectFailed(f"cannot open {url}: {error}; is a Lockon server running there?") from error


def closed_error(error: ConnectionClosed) -> LockonError:
    """The error for a connection that ended; without a close frame the line broke (1006)."""
    frame = error.rcvd
    return from_close(frame.code, frame.reason) if frame else from_close(1006, "")


def _refusal(response: Response) -> LockonError:
    """The error for an HTTP answer, read from its problem body where it has one."""
    try:
        problem = json.loads(response.body or b"{}")
    except ValueError:
        problem = {}
    if not isinstance(problem, dict):
        problem = {}
    wait = response.headers.get("Retry-After", "")
    retry_after_s = float(wait) if wait.isdigit() else None
    detail = str(problem.get("detail") or problem.get("title") or "")
    return from_refusal(response.status_code, str(problem.get("code") or ""), detail, retry_after_s)
