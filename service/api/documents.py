"""What the server says of itself: the OpenAPI and AsyncAPI documents, and the limits in force. And what it says at the
addresses of sockets to those who open none."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response, WebSocket
from starlette.responses import FileResponse, JSONResponse

from service.api.credentials import SessionsCaller
from service.api.handshake import deny
from service.api.openapi import answers
from service.api.problems import Problem
from service.engine.registry import Registry
from service.protocol.asyncapi import DOCUMENT
from service.protocol.strict_json import MAX_TEXT_BYTES
from service.settings import Settings

router = APIRouter(prefix="/v1", tags=["documents"])
sockets_router = APIRouter()


@router.get("/limits", response_model=None, responses=answers(200, "Limits", "What you may ask for"))
async def show_limits(request: Request, caller: SessionsCaller) -> Response:
    """What the caller may ask for, and how much of it is used."""
    settings: Settings = request.app.state.settings
    registry: Registry = request.app.state.registry
    limits, quotas = settings.limits, settings.quotas if settings.auth.required else None
    most = limits.max_sessions if quotas is None else min(limits.max_sessions, quotas.sessions)
    body = {
        "max_frame_bytes": limits.max_frame_bytes,
        "max_body_bytes": MAX_TEXT_BYTES,
        "max_pixels": limits.max_pixels,
        "max_targets": limits.max_targets,
        "must_queue": limits.must_queue,
        "must_queue_bytes": limits.must_queue_bytes,
        "hello_timeout_s": limits.hello_timeout_s,
        "idle_timeout_s": limits.idle_timeout_s,
        "detached_ttl_s": limits.detached_ttl_s,
        "frames_per_s": None if quotas is None else quotas.frames_per_s,
        "bytes_per_s": None if quotas is None else quotas.bytes_per_s,
        "sessions": {"used": len(registry.owned(caller.owner)), "limit": most},
    }
    return JSONResponse(body)


@router.get("/openapi.json", include_in_schema=False)
def show_openapi(request: Request) -> Response:
    """The OpenAPI document. Not on the event loop: making it takes a while, the first time."""
    return JSONResponse(request.app.openapi())


@router.get("/asyncapi.json", include_in_schema=False)
async def show_asyncapi() -> Response:
    """The AsyncAPI document."""
    return FileResponse(DOCUMENT, media_type="application/json")


@sockets_router.get("/v1/stream", include_in_schema=False)
@sockets_router.get("/v1/sessions/{session_id}/stream", include_in_schema=False)
async def no_socket() -> Response:
    """A GET without an upgrade, which is what a proxy makes of a handshake that it does not understand."""
    detail = "open a WebSocket here; a proxy in between has to pass on the headers Upgrade and Connection"
    raise Problem("upgrade-required", detail, headers={"Upgrade": "websocket", "Connection": "Upgrade"})


@sockets_router.websocket("/{path:path}")
async def unknown_socket(websocket: WebSocket) -> None:
    """A handshake at an address that has no socket."""
    await deny(websocket, Problem("not-found", "there is no socket at this address"))
