"""Which server a request for a session belongs to: this one, which may have to take the session over, or another."""

from __future__ import annotations

from fastapi import Request

from service.api.handshake import room_needed
from service.api.problems import Problem
from service.engine.fleet import Fleet
from service.engine.keeper import Keeper
from service.engine.registry import Registry, SessionMissing
from service.engine.resume import Refusal, ResumeRefused, Resumption
from service.engine.session import Session

ELSEWHERE = ("elsewhere", "session-attached", "store-unavailable", "no-capacity", "rate-limited")
"""Problems of a request for a session that this server has not got."""
PROBLEMS = {
    Refusal.UNKNOWN: "not-found",
    Refusal.EXPIRED: "gone",
    Refusal.UNREADABLE: "gone",
    Refusal.ELSEWHERE: "session-attached",
    Refusal.STORE_AWAY: "store-unavailable",
    Refusal.VERSION: "store-unavailable",
}


async def located(request: Request, session_id: str, owner: str) -> Session:
    """That owner's session, which is this server's from now on.

    Raises the Problem not-found, also for those of others, gone, or elsewhere with the address of the server that has
    it; and those of a session that cannot be taken over."""
    registry: Registry = request.app.state.registry
    keeper: Keeper | None = request.app.state.keeper
    try:
        session = registry.find_own(session_id, owner)
    except SessionMissing as error:
        if error.gone:
            raise Problem("gone", "the session was closed or has expired") from error
        if keeper is None:
            raise Problem("not-found", "there is no such session") from error
    else:
        # One that has no socket has no lease either: another server may have taken it without a word.
        if keeper is None or session.outbox is not None or not keeper.keeps(session):
            return session
        if await keeper.other_home(session_id, owner) is None:
            return session
        registry.superseded(session)
    await _check_home(request, keeper, session_id, owner)
    resumption: Resumption = request.app.state.resumption
    try:
        with room_needed():
            return (await resumption.taken(session_id, owner)).session
    except ResumeRefused as error:
        raise Problem(PROBLEMS[error.refusal], str(error)) from error


async def _check_home(request: Request, keeper: Keeper, session_id: str, owner: str) -> None:
    """Raises the Problem elsewhere if another server had the session last and is there."""
    fleet: Fleet = request.app.state.fleet
    home = await keeper.other_home(session_id, owner)
    address = fleet.address_of(home) if home is not None else None
    if address is None:
        return
    query = f"?{request.url.query}" if request.url.query else ""
    # Addresses of servers are those of their sockets.
    location = f"{address.replace('ws', 'http', 1) if '://' in address else address}{request.url.path}{query}"
    raise Problem("elsewhere", "another server has this session", headers={"Location": location})
