"""REST doors of sessions: create, list, look at, delete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Query, Request, Response
from starlette.responses import JSONResponse

from models.target import MIN_BOX_SIDE
from service.api.bodies import read_body
from service.api.credentials import SessionsCaller
from service.api.handshake import room_needed
from service.api.problems import Problem
from service.engine.models import UnknownModel
from service.engine.registry import Registry, SessionMissing
from service.engine.session import Session
from service.protocol.messages import CreateRequest

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

_BODY = {
    "requestBody": {"required": False, "content": {"application/json": {"schema": CreateRequest.model_json_schema()}}}
}


@router.post("", status_code=201, openapi_extra=_BODY)
async def create_session(request: Request, caller: SessionsCaller) -> Response:
    """Creates a session."""
    registry = _registry(request)
    wanted = await read_body(request, CreateRequest)
    _check_targets(wanted, registry.limits.max_targets)
    try:
        with room_needed():
            session = registry.create(wanted, caller.owner)
    except UnknownModel as error:
        detail = {"pointer": "/model", "code": "unknown_model", "detail": str(error)}
        raise Problem("validation-failed", str(error), [detail]) from error
    return JSONResponse(session_view(session, registry), 201, {"Location": f"/v1/sessions/{session.id}"})


@router.get("")
async def list_sessions(
    request: Request, caller: SessionsCaller, limit: int = Query(50, ge=1, le=200)
) -> dict[str, Any]:
    """The caller's sessions, the newest first."""
    registry = _registry(request)
    views = [session_view(session, registry) for session in registry.owned(caller.owner)[:limit]]
    return {"items": views, "next_cursor": None}


@router.get("/{session_id}")
async def get_session(request: Request, session_id: str, caller: SessionsCaller) -> dict[str, Any]:
    """One session with its live counters."""
    return session_view(found(_registry(request), session_id, caller.owner), _registry(request))


@router.delete("/{session_id}", status_code=204)
async def delete_session(request: Request, session_id: str, caller: SessionsCaller) -> Response:
    """Closes and forgets a session; again is no error for ten minutes."""
    registry = _registry(request)
    try:
        registry.close(registry.find_own(session_id, caller.owner), "deleted")
    except SessionMissing as error:
        if not error.gone:
            raise Problem("not-found", "there is no such session") from error
    return Response(status_code=204)


def found(registry: Registry, session_id: str, owner: str) -> Session:
    """That owner's session; raises the Problem not-found, also for those of others, or gone."""
    try:
        return registry.find_own(session_id, owner)
    except SessionMissing as error:
        if error.gone:
            raise Problem("gone", "the session was closed or has expired") from error
        raise Problem("not-found", "there is no such session") from error


def session_view(session: Session, registry: Registry) -> dict[str, Any]:
    """A session as GET shows it."""
    request = session.request
    ttl_s = registry.ttl_s(session)
    left_s = ttl_s - (perf_counter() - session.detached_s)
    expires = None if session.outbox is not None else datetime.now(UTC) + timedelta(seconds=max(0.0, left_s))
    return {
        "id": session.id,
        "state": session.state,
        "epoch": session.epoch,
        "model": session.model.id,
        "mode": request.mode,
        "label": request.label,
        "metadata": request.metadata,
        "result": session.want.model_dump(),
        "detached_ttl_s": ttl_s,
        "created_at": registry.created_at(session).isoformat(timespec="milliseconds"),
        "expires_at": None if expires is None else expires.isoformat(timespec="milliseconds"),
        "stream_url": f"/v1/sessions/{session.id}/stream",
        "targets": session.target_views(),
        "counters": session.counters.view() | {"waiting": session.waiting},
    }


def _registry(request: Request) -> Registry:
    registry: Registry = request.app.state.registry
    return registry


def _check_targets(wanted: CreateRequest, limit: int) -> None:
    if len(wanted.targets) > limit:
        detail = f"{len(wanted.targets)} targets; the limit is {limit}"
        raise Problem(
            "validation-failed", detail, [{"pointer": "/targets", "code": "too_many_targets", "detail": detail}]
        )
    for i, target in enumerate(wanted.targets):
        for side, value in zip("wh", target.box[2:], strict=True):
            if value < MIN_BOX_SIDE:
                detail = f"{side} is {value:g} px; it must be at least {MIN_BOX_SIDE:g} px"
                entry = {"pointer": f"/targets/{i}/box", "code": "bad_box", "detail": detail}
                raise Problem("validation-failed", detail, [entry])
