"""The sockets: /v1/stream and /v1/sessions/{id}/stream."""

from __future__ import annotations

from time import perf_counter

import structlog
from fastapi import APIRouter, WebSocket
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocketDisconnect

from service.api.attaching import Refused, refused, room_or_refused
from service.api.connection import Connection, refuse
from service.api.handshake import SUBPROTOCOL, Opening, check_handshake, deny, room_needed
from service.api.locating import PROBLEMS
from service.api.problems import Problem
from service.engine.admission import ServerFull
from service.engine.fleet import Fleet, session_path
from service.engine.registry import Registry
from service.engine.resume import ResumeRefused, Resumption
from service.engine.session import Session
from service.telemetry.pseudonyms import peer_prefix, tenant_hash

router = APIRouter()

_log = structlog.get_logger("lockon.stream")


async def stream(websocket: WebSocket) -> None:
    """The first message is a hello, with `create` or with `resume`."""
    registry: Registry = websocket.app.state.registry
    fleet: Fleet = websocket.app.state.fleet
    try:
        opening = await check_handshake(websocket)
        with room_needed():
            registry.check_stays()
        # Whoever has a session here may have come back for it, which needs no room; and of other servers that have
        # room a browser hears on the socket alone.
        if not registry.may_resume(opening.caller.owner) and not fleet.has_room:
            with room_needed():
                registry.check_room(opening.caller.owner)
    except Problem as problem:
        await deny(websocket, problem)
        return
    await _served(websocket, registry, opening, None)


async def session_stream(websocket: WebSocket) -> None:
    """Attaches to a session; the hello may be left out."""
    session_id: str = websocket.path_params["session_id"]
    registry: Registry = websocket.app.state.registry
    try:
        opening = await check_handshake(websocket, session_id)
        with room_needed():
            registry.check_stays()
            session = await _located(websocket, session_id, opening.caller.owner)
    except Problem as problem:
        await deny(websocket, problem)
        return
    except Refused as elsewhere:
        await websocket.accept(SUBPROTOCOL if websocket.scope["subprotocols"] else None)
        await refuse(websocket, elsewhere)
        return
    await _served(websocket, registry, opening, session)


async def _located(websocket: WebSocket, session_id: str, owner: str) -> Session:
    """That owner's session, which may have been another server's until now.

    Raises a Problem or NoRoom, and Refused where the client is to try again, or elsewhere: a browser hears that on the
    socket alone."""
    registry: Registry = websocket.app.state.registry
    resumption: Resumption = websocket.app.state.resumption
    fleet: Fleet = websocket.app.state.fleet
    session = registry.owned_by_id(session_id, owner)
    if session is not None:
        return session
    try:
        session, _, _ = await resumption.taken(session_id, owner)
    except ServerFull:
        if fleet.has_room:
            with room_or_refused(fleet, session_path(session_id)):
                raise
        raise
    except ResumeRefused as error:
        if error.passes:
            raise refused(error, session_id) from error
        raise Problem(PROBLEMS[error.refusal], str(error)) from error
    return session


async def _served(websocket: WebSocket, registry: Registry, opening: Opening, session: Session | None) -> None:
    """The life of an accepted socket."""
    await websocket.accept(SUBPROTOCOL if websocket.scope["subprotocols"] else None)
    registry.metrics.connection_opened()
    code, began_s = 1006, perf_counter()
    connection = Connection(websocket, registry, opening)
    try:
        code = await connection.run(session)
    except WebSocketDisconnect as gone:
        code = gone.code
    finally:
        registry.metrics.connection_closed(code)
        _log_end(websocket, connection, opening, code, perf_counter() - began_s)


def _log_end(websocket: WebSocket, connection: Connection, opening: Opening, code: int, seconds: float) -> None:
    session = connection.session
    attached = {"session": session.id, "epoch": connection.epoch} if session is not None else {}
    if connection.client:
        attached["client"] = connection.client
    if connection.trace_id is not None:
        attached["trace_id"] = connection.trace_id
    _log.info(
        "socket closed" if session is not None else "socket refused",
        kind="socket_close" if session is not None else "socket_refused",
        code=code,
        dur_ms=round(seconds * 1e3),
        tenant_hash=tenant_hash(opening.caller.owner),
        peer_prefix=peer_prefix(websocket.client.host if websocket.client else None),
        **attached,
    )


# Plain routes: FastAPI's own would keep two exit stacks for each socket, for dependencies that there are none of.
router.routes += [
    WebSocketRoute("/v1/stream", stream),
    WebSocketRoute("/v1/sessions/{session_id}/stream", session_stream),
]
