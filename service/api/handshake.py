"""Before a socket is accepted: who may open it, and how it is refused."""

from __future__ import annotations

from fastapi import WebSocket
from starlette.requests import HTTPConnection

from service.api.origins import origin_allowed
from service.api.problems import Problem, problem_response
from service.engine.session import Session
from service.security.addresses import is_loopback
from service.settings import Settings

SUBPROTOCOL = "lockon.v1"


def check_handshake(websocket: WebSocket) -> None:
    """Raises a Problem for a page of another site, and for sub-protocols of which none is known."""
    check_origin(websocket)
    offered = websocket.scope["subprotocols"]
    if offered and SUBPROTOCOL not in offered:
        raise Problem(
            "malformed-request", f"none of the offered sub-protocols is known; this server speaks {SUBPROTOCOL}"
        )


def check_origin(connection: HTTPConnection) -> None:
    """Raises a Problem for a page of another site."""
    settings: Settings = connection.app.state.settings
    origin, host = connection.headers.get("origin"), connection.headers.get("host", "")
    loopback = is_loopback(settings.server.host)
    if not origin_allowed(origin, host, settings.web.allowed_origins, listens_on_loopback=loopback):
        raise Problem("origin-not-allowed", "this page's origin is not in web.allowed_origins")


def check_free(session: Session) -> None:
    """Raises a Problem if the session has a socket."""
    if session.outbox is not None:
        raise Problem("session-attached", "another socket is attached to this session")


async def deny(websocket: WebSocket, problem: Problem) -> None:
    """Refuses the upgrade with an HTTP response."""
    await websocket.send_denial_response(problem_response(problem.code, str(problem.detail), problem.errors))
