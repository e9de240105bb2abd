"""Before a socket is accepted: who may open it, and how it is refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

import structlog
from fastapi import WebSocket
from starlette.requests import HTTPConnection

from service.api.credentials import caller_of
from service.api.origins import host_name, origin_allowed
from service.api.problems import Problem, response_of
from service.engine.admission import Draining, QuotaUsed, ServerFull
from service.protocol.requests import CreateRequest
from service.security.access import Access
from service.security.addresses import is_loopback
from service.security.principals import Principal, Scope, Unauthenticated
from service.settings import Settings
from service.telemetry.pseudonyms import peer_prefix

SUBPROTOCOL = "lockon.v1"
TICKET_PREFIX = "lockon.ticket."

_log = structlog.get_logger("lockon.stream")


@dataclass(frozen=True, slots=True)
class Opening:
    """Who opens a socket; `pinned` is what its ticket says of the session to be created."""

    caller: Principal
    pinned: CreateRequest | None = None


async def check_handshake(websocket: WebSocket, session_id: str | None = None) -> Opening:
    """Who opens this socket, of that session if one is named.

    Raises a Problem for a page of another site, missing credentials, and sub-protocols of which none is known."""
    check_origin(websocket)
    offered: list[str] = websocket.scope["subprotocols"]
    tickets = [name.removeprefix(TICKET_PREFIX) for name in offered if name.startswith(TICKET_PREFIX)]
    text = next(iter(tickets), websocket.query_params.get("ticket"))
    if text is None:
        opening = Opening(await caller_of(websocket, Scope.STREAM))
    else:
        opening = _redeemed(websocket, text, session_id)
    if offered and SUBPROTOCOL not in offered:
        raise Problem(
            "malformed-request", f"none of the offered sub-protocols is known; this server speaks {SUBPROTOCOL}"
        )
    return opening


def _redeemed(websocket: WebSocket, text: str, session_id: str | None) -> Opening:
    access: Access = websocket.app.state.access
    try:
        ticket = access.tickets.redeem(text, session_id, websocket.headers.get("origin"), perf_counter())
    except Unauthenticated as error:
        raise Problem("unauthenticated", str(error)) from error
    if not access.stands(ticket.principal):
        raise Problem("unauthenticated", "the credentials behind this ticket have ended")
    return Opening(ticket.principal, ticket.create)


def check_origin(connection: HTTPConnection) -> None:
    """Raises a Problem for a page of another site."""
    settings: Settings = connection.app.state.settings
    origin, host = connection.headers.get("origin"), connection.headers.get("host", "")
    # A name that the settings give this server is its own wherever it listens.
    named = host_name(host) in (name.lower() for name in settings.web.allowed_hosts)
    loopback = is_loopback(settings.server.host) and not named
    if not origin_allowed(origin, host, settings.web.allowed_origins, listens_on_loopback=loopback):
        raise Problem("origin-not-allowed", "this page's origin is not in web.allowed_origins")


@contextmanager
def room_needed() -> Iterator[None]:
    """Turns the want of room for a session into a Problem."""
    try:
        yield
    except Draining as error:
        raise Problem("draining", str(error), retry_after_s=error.retry_after_s) from error
    except ServerFull as error:
        raise Problem("no-capacity", str(error), retry_after_s=error.retry_after_s) from error
    except QuotaUsed as error:
        headers = {
            "RateLimit-Policy": f'"sessions";q={error.limit}',
            "RateLimit": f'"sessions";r=0;t={error.retry_after_s}',
        }
        raise Problem("rate-limited", str(error), retry_after_s=error.retry_after_s, headers=headers) from error


async def deny(websocket: WebSocket, problem: Problem) -> None:
    """Refuses the upgrade with an HTTP response."""
    peer = peer_prefix(websocket.client.host if websocket.client else None)
    _log.info("socket refused", kind="socket_refused", code=problem.code, peer_prefix=peer)
    await websocket.send_denial_response(response_of(problem))
