"""REST doors of sessions: create, list, look at, change, delete."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from models.target import MIN_BOX_SIDE
from service.api.bodies import MERGE_PATCH, read_body
from service.api.changing import IfMatch, change, check_if_match, etag
from service.api.credentials import SessionsCaller
from service.api.handshake import room_needed
from service.api.idempotency import REPLAYED, Answer, IdempotencyKey, Kept, again, fingerprint, key_of
from service.api.locating import ELSEWHERE, located
from service.api.openapi import answers, takes
from service.api.paging import CursorRefused
from service.api.problems import Problem
from service.engine.admission import ServerFull
from service.engine.fleet import Fleet, session_path
from service.engine.keeper import Keeper
from service.engine.models import UnknownModel
from service.engine.registry import Registry
from service.engine.session import Session
from service.protocol.requests import CreateRequest, Label, PatchRequest
from service.security.principals import Principal
from service.store.port import StoreAway
from service.telemetry.traces import Traces

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

_REFUSED_BODIES = ("malformed-request", "request-timeout", "body-too-large", "unsupported-media", "validation-failed")
_ETAG = {"ETag": "Names the settings of the session, for If-Match"}
_LINKS = {
    name: {"operationId": name, "parameters": {"session_id": "$response.body#/id"}}
    for name in ("get_session", "change_session", "delete_session", "follow_frame", "issue_session_ticket")
}


class SessionQuery(BaseModel):
    """Which of the caller's sessions to list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=200, description="Most items of a page")] = 50
    cursor: Annotated[str | None, Field(max_length=1000, description="`next_cursor` of the page before")] = None
    state: Annotated[Literal["created", "live", "detached"] | None, Field(description="Only those in this state")] = (
        None
    )
    label: Annotated[Label | None, Field(description="Only those with exactly this label")] = None


@router.post(
    "",
    status_code=201,
    response_model=None,
    openapi_extra=takes(CreateRequest),
    responses=answers(
        201,
        "Session",
        "The new session",
        *(*_REFUSED_BODIES, "idempotency-key-invalid", "idempotency-in-progress", "idempotency-key-reused"),
        *("rate-limited", "no-capacity"),
        headers={"Location": "Where it is", REPLAYED: "`true`: this is what the first request was answered"} | _ETAG,
        links=_LINKS,
    ),
)
async def create_session(request: Request, caller: SessionsCaller, _key: IdempotencyKey = None) -> Response:
    """Creates a session."""
    key = key_of(request)
    if key is None:
        return await _created(request, await read_body(request, CreateRequest), caller)
    kept: Kept = request.app.state.kept
    with kept.running(caller.owner, key):
        wanted = await read_body(request, CreateRequest)
        asked, now_s = fingerprint(wanted), perf_counter()
        known = kept.find(caller.owner, key, now_s)
        if known is not None:
            return again(known, asked)
        response = await _created(request, wanted, caller)
        headers = {name: response.headers[name] for name in ("location", "etag")}
        kept.put(caller.owner, key, Answer(asked, response.status_code, headers, bytes(response.body), now_s))
        return response


async def _created(request: Request, wanted: CreateRequest, caller: Principal) -> Response:
    registry, address = _registry(request), None
    _check_targets(wanted, registry.limits.max_targets)
    try:
        with room_needed():
            try:
                session = registry.create(wanted, caller.owner)
            except ServerFull as full:
                session, address = await _placed(request, wanted, caller.owner, full)
    except UnknownModel as error:
        detail = {"pointer": "/model", "code": "unknown_model", "detail": str(error)}
        raise Problem("validation-failed", str(error), [detail]) from error
    traces: Traces | None = request.app.state.traces
    if traces is not None:
        traces.created(session, request.headers.get("traceparent"))
    headers = {"Location": f"/v1/sessions/{session.id}", "ETag": etag(session)}
    return JSONResponse(session_view(session, registry, address), 201, headers)


async def _placed(request: Request, wanted: CreateRequest, owner: str, full: ServerFull) -> tuple[Session, str]:
    """A new session that is another server's, which has room for it, and that server's address; else raises `full`."""
    keeper: Keeper | None = request.app.state.keeper
    fleet: Fleet = request.app.state.fleet
    roomier = fleet.roomier()
    if keeper is None or roomier is None:
        raise full
    session = _registry(request).drafted(wanted, owner)
    try:
        await keeper.place(session, roomier[0])
    except StoreAway as error:
        raise full from error
    return session, roomier[1]


@router.get(
    "",
    response_model=None,
    responses=answers(
        200,
        "SessionPage",
        "A page of them",
        *("malformed-request", "validation-failed"),
        headers={"Link": "Where the next page is, if there is one (RFC 8288)"},
    ),
)
async def list_sessions(request: Request, caller: SessionsCaller, query: Annotated[SessionQuery, Query()]) -> Response:
    """The caller's sessions, the newest first."""
    registry, cursors = _registry(request), request.app.state.cursors
    listing, now_s = [caller.owner, query.state, query.label], perf_counter()
    mine = {_place(session, registry): session for session in registry.owned(caller.owner)}
    places = sorted((place for place, session in mine.items() if _matches(session, query)), reverse=True)
    if query.cursor is not None:
        try:
            after = tuple(cursors.read(query.cursor, listing, now_s))
        except CursorRefused as error:
            raise Problem("malformed-request", f"cursor: {error}") from error
        places = [place for place in places if place < after]
    page, rest = places[: query.limit], places[query.limit :]
    cursor = cursors.made(list(page[-1]), listing, now_s) if rest else None
    headers = {}
    if cursor is not None:
        words = query.model_dump(exclude_none=True) | {"cursor": cursor}
        headers["Link"] = f'</v1/sessions?{urlencode(words)}>; rel="next"'
    views = [session_view(mine[place], registry) for place in page]
    return JSONResponse({"items": views, "next_cursor": cursor}, headers=headers)


def _place(session: Session, registry: Registry) -> tuple[str, str]:
    """Where the session stands in the list of all."""
    return registry.created_at(session).isoformat(timespec="microseconds"), session.id


def _matches(session: Session, query: SessionQuery) -> bool:
    return query.state in (None, session.state) and query.label in (None, session.request.label)


@router.get(
    "/{session_id}",
    response_model=None,
    responses=answers(200, "Session", "The session", "not-found", "gone", *ELSEWHERE, headers=_ETAG),
)
async def get_session(request: Request, session_id: str, caller: SessionsCaller) -> Response:
    """One session with its live counters."""
    session = await located(request, session_id, caller.owner)
    return JSONResponse(session_view(session, _registry(request)), headers={"ETag": etag(session)})


@router.patch(
    "/{session_id}",
    response_model=None,
    openapi_extra=takes(PatchRequest, required=True, media_type=MERGE_PATCH),
    responses=answers(
        *(200, "Session", "The session", *_REFUSED_BODIES, "not-found", "gone", "etag-mismatch", *ELSEWHERE),
        headers=_ETAG,
    ),
)
async def change_session(
    request: Request, session_id: str, caller: SessionsCaller, _if_match: IfMatch = None
) -> Response:
    """Changes a session's settings; `null` takes a label, metadata or a lifetime of its own away."""
    patch = await read_body(request, PatchRequest, MERGE_PATCH)
    session = await located(request, session_id, caller.owner)
    check_if_match(request, session)
    change(session, patch)
    return JSONResponse(session_view(session, _registry(request)), headers={"ETag": etag(session)})


@router.delete("/{session_id}", status_code=204, responses=answers(204, None, "It is gone", "not-found", *ELSEWHERE))
async def delete_session(request: Request, session_id: str, caller: SessionsCaller) -> Response:
    """Closes and forgets a session; again is no error for ten minutes."""
    registry = _registry(request)
    try:
        session = await located(request, session_id, caller.owner)
        registry.close(session, "deleted")
    except Problem as problem:
        if problem.code != "gone":
            raise
    return Response(status_code=204)


def session_view(session: Session, registry: Registry, address: str | None = None) -> dict[str, Any]:
    """A session as GET shows it; `address` is that of the server that is to have it, if it is another one."""
    request = session.request
    ttl_s = registry.ttl_s(session)
    left_s = ttl_s - (perf_counter() - session.detached_s)
    expires = None if session.outbox is not None else datetime.now(UTC) + timedelta(seconds=max(0.0, left_s))
    return {
        "id": session.id,
        "state": session.state,
        "epoch": session.epoch,
        "model": session.models[-1].id,
        "mode": request.mode,
        "label": request.label,
        "metadata": request.metadata,
        "result": session.answers.want.model_dump(),
        "max_fps": request.max_fps,
        "deadline_ms": request.deadline_ms,
        "cadence": request.cadence,
        "thresholds": None if request.thresholds is None else request.thresholds.model_dump(exclude_none=True),
        "detached_ttl_s": ttl_s,
        "created_at": registry.created_at(session).isoformat(timespec="milliseconds"),
        "expires_at": None if expires is None else expires.isoformat(timespec="milliseconds"),
        "stream_url": (registry.address if address is None else address) + session_path(session.id),
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
