"""The sockets: /v1/stream and /v1/sessions/{id}/stream."""

from __future__ import annotations

from time import perf_counter

import structlog
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from service.api.connection import Connection
from service.api.handshake import SUBPROTOCOL, Opening, check_handshake, deny, room_needed
from service.api.problems import Problem
from service.engine.registry import Registry
from service.engine.resume import Refusal, ResumeRefused, Resumption
from service.engine.session import Session
from service.telemetry.pseudonyms import peer_prefix, tenant_hash

router = APIRouter()

_PROBLEMS = {
    Refusal.UNKNOWN: "not-found",
    Refusal.EXPIRED: "gone",
    Refusal.UNREADABLE: "gone",
    Refusal.ELSEWHERE: "session-attached",
    Refusal.STORE_AWAY: "store-unavailable",
}
_log = structlog.get_logger("lockon.stream")


@router.websocket("/v1/stream")
async def stream(websocket: WebSocket) -> None:
    """The first message is a hello, with `create` or with `resume`."""
    registry: Registry = websocket.app.state.registry
    try:
        opening = await check_handshake(websocket)
        with room_needed():
            registry.check_stays()
        # Whoever has a session here may have come back for it, which needs no room.
        if not registry.may_resume(opening.caller.owner):
            with room_needed():
                registry.check_room(opening.caller.owner)
    except Problem as problem:
        await deny(websocket, problem)
        return
    await _served(websocket, registry, opening, None)


@router.websocket("/v1/sessions/{session_id}/stream")
async def session_stream(websocket: WebSocket, session_id: str) -> None:
    """Attaches to a session; the hello may be left out."""
    registry: Registry = websocket.app.state.registry
    try:
        opening = await check_handshake(websocket, session_id)
        with room_needed():
            registry.check_stays()
            session = await _located(websocket.app.state.resumption, registry, session_id, opening.caller.owner)
    except Problem as problem:
        await deny(websocket, problem)
        return
    await _served(websocket, registry, opening, session)


async def _located(resumption: Resumption, registry: Registry, session_id: str, owner: str) -> Session:
    """That owner's session, which may have been another server's until now; raises a Problem or NoRoom."""
    session = registry.owned_by_id(session_id, owner)
    if session is not None:
        return session
    try:
        session, _ = await resumption.taken(session_id, owner)
    except ResumeRefused as error:
        raise Problem(_PROBLEMS[error.refusal], str(error)) from error
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
