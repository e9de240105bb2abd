"""Tickets: a page's own backend gets one with its key, and the page opens its socket with that."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from service.api.bodies import read_body
from service.api.credentials import StreamCaller
from service.api.locating import ELSEWHERE, located
from service.api.openapi import answers, takes
from service.api.problems import Problem
from service.engine.fleet import STREAM_PATH, session_path
from service.protocol.requests import SessionTicketRequest, TicketRequest
from service.security.access import Access
from service.security.tickets import TICKET_TTL_S, Ticket, TooManyTickets, narrowed

router = APIRouter(prefix="/v1", tags=["tickets"])


_REFUSED = ("malformed-request", "request-timeout", "body-too-large", "unsupported-media", "validation-failed")
_ISSUED = answers(201, "Ticket", "The ticket", *_REFUSED, "rate-limited")
_SESSION_ISSUED = answers(201, "Ticket", "The ticket", *_REFUSED, "rate-limited", "not-found", "gone", *ELSEWHERE)


@router.post("/tickets", status_code=201, response_model=None, openapi_extra=takes(TicketRequest), responses=_ISSUED)
async def issue_ticket(request: Request, caller: StreamCaller) -> JSONResponse:
    """A ticket for one socket on /v1/stream; what `create` says, the socket's hello cannot change."""
    wanted = await read_body(request, TicketRequest)
    ticket = Ticket(narrowed(caller), create=wanted.create, origin=wanted.origin)
    # This server's own address: no other one knows the ticket.
    address: str = request.app.state.registry.address
    return JSONResponse(_issued(request, ticket) | {"stream_url": address + STREAM_PATH}, 201, _PRIVATE)


@router.post(
    "/sessions/{session_id}/tickets",
    status_code=201,
    response_model=None,
    openapi_extra=takes(SessionTicketRequest),
    responses=_SESSION_ISSUED,
)
async def issue_session_ticket(request: Request, session_id: str, caller: StreamCaller) -> JSONResponse:
    """A ticket for one socket of that session."""
    session = await located(request, session_id, caller.owner)
    address: str = request.app.state.registry.address
    wanted = await read_body(request, SessionTicketRequest)
    ticket = Ticket(narrowed(caller), session=session.id, origin=wanted.origin)
    answer = _issued(request, ticket) | {"stream_url": address + session_path(session.id), "resume_token": None}
    return JSONResponse(answer, 201, _PRIVATE)


_PRIVATE = {"Cache-Control": "no-store"}


def _issued(request: Request, ticket: Ticket) -> dict[str, Any]:
    access: Access = request.app.state.access
    try:
        text = access.tickets.issue(ticket, perf_counter())
    except TooManyTickets as error:
        raise Problem("rate-limited", str(error), retry_after_s=round(TICKET_TTL_S)) from error
    expires = datetime.now(UTC) + timedelta(seconds=TICKET_TTL_S)
    return {"ticket": text, "expires_at": expires.isoformat(timespec="milliseconds")}
