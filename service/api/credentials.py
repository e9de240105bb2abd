"""Who calls, at the REST doors: every door names the scope that it needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import Request, Security
from fastapi.security import HTTPBearer
from starlette.requests import HTTPConnection

from service.api.problems import Problem
from service.security.access import Access
from service.security.principals import Principal, Scope, Unauthenticated

# For the OpenAPI document; the header is read below.
_described = HTTPBearer(
    scheme_name="bearer", auto_error=False, description="An API key or a JWT, where the server asks for one."
)


def bearer_of(connection: HTTPConnection) -> str | None:
    """What stands behind `Bearer`; credentials anywhere else, as in the address, are not looked at."""
    scheme, _, value = connection.headers.get("authorization", "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


async def caller_of(connection: HTTPConnection, scope: Scope) -> Principal:
    """The caller, who may do that; raises the Problem unauthenticated or forbidden."""
    access: Access = connection.app.state.access
    try:
        principal = await access.principal(bearer_of(connection))
    except Unauthenticated as error:
        raise Problem("unauthenticated", str(error)) from error
    if scope not in principal.scopes:
        raise Problem("forbidden", f"this needs the scope {scope}")
    return principal


def _with(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    async def caller(request: Request, _credentials: Annotated[Any, Security(_described)]) -> Principal:
        return await caller_of(request, scope)

    return caller


SessionsCaller = Annotated[Principal, Security(_with(Scope.SESSIONS))]
StreamCaller = Annotated[Principal, Security(_with(Scope.STREAM))]
ModelsCaller = Annotated[Principal, Security(_with(Scope.MODELS))]
AdminCaller = Annotated[Principal, Security(_with(Scope.ADMIN))]
