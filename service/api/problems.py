"""Errors over HTTP: RFC 9457 problems; one table from code to status."""

from __future__ import annotations

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Mount

from service.ids import new_id
from service.protocol.field_errors import field_errors

PROBLEM_MEDIA_TYPE = "application/problem+json"
_PROBLEMS = {
    "elsewhere": (307, "Another server has the session"),
    "malformed-request": (400, "The request cannot be read"),
    "idempotency-key-invalid": (400, "The Idempotency-Key cannot be read"),
    "unauthenticated": (401, "This server wants to know who you are"),
    "forbidden": (403, "This server does not allow that"),
    "origin-not-allowed": (403, "This page may not do that here"),
    "not-found": (404, "There is no such thing"),
    "method-not-allowed": (405, "This address knows no such method"),
    "request-timeout": (408, "The body took too long to arrive"),
    "idempotency-in-progress": (409, "A request with this Idempotency-Key is being worked off"),
    "model-is-default": (409, "The default model cannot be retired"),
    "model-loading": (409, "Another model is being loaded"),
    "session-attached": (409, "The session has a socket already"),
    "gone": (410, "The session was closed or has expired"),
    "etag-mismatch": (412, "The session was changed meanwhile"),
    "body-too-large": (413, "The body is too large"),
    "image-too-large": (413, "The image is too large"),
    "unsupported-media": (415, "The body is of a kind that is not taken"),
    "misdirected": (421, "This server does not go by that name"),
    "validation-failed": (422, "The request is not valid"),
    "idempotency-key-reused": (422, "This Idempotency-Key was used for another request"),
    "image-undecodable": (422, "The image is damaged"),
    "upgrade-required": (426, "This address speaks WebSocket"),
    "rate-limited": (429, "That is more than you may use"),
    "headers-too-large": (431, "The head of the request is too large"),
    "internal": (500, "The server failed"),
    "no-capacity": (503, "The server is full"),
    "draining": (503, "The server is stopping"),
    "store-unavailable": (503, "The session store does not answer"),
    "deadline-exceeded": (504, "The server did not finish in time"),
}
STATUS = {code: status for code, (status, _) in _PROBLEMS.items()}
TITLES = {code: title for code, (_, title) in _PROBLEMS.items()}
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
PAGE_METHODS = ("GET", "HEAD")
WAITS = frozenset({429, 503})
"""Status codes that say when to come again."""
_BY_STATUS = {status: code for code, status in reversed(STATUS.items())}

_log = structlog.get_logger("lockon.api")


class Problem(HTTPException):
    """A request that is refused; `code` is a key of STATUS, `retry_after_s` when it may be made again."""

    def __init__(
        self,
        code: str,
        detail: str,
        errors: list[dict[str, str]] | None = None,
        *,
        retry_after_s: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(STATUS[code], detail, headers)
        self.code = code
        self.errors = errors
        self.retry_after_s = retry_after_s


def response_of(problem: Problem) -> Response:
    """The response for a problem."""
    headers = dict(problem.headers or {})
    return problem_response(problem.code, str(problem.detail), problem.errors, headers, problem.retry_after_s)


def problem_response(
    code: str,
    detail: str,
    errors: list[dict[str, str]] | None = None,
    headers: dict[str, str] | None = None,
    retry_after_s: int | None = None,
    instance: str | None = None,
) -> Response:
    """The response for the problem of that code; `instance` is how the log names it."""
    status = STATUS[code]
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": TITLES[code],
        "status": status,
        "detail": detail,
        "instance": instance or new_id("req"),
        "code": code,
    }
    if errors:
        body["errors"] = errors
    extra = dict(headers or {})
    if status == 401:
        extra["WWW-Authenticate"] = 'Bearer realm="lockon"'
    wait_s = retry_after_s or (1 if status == 503 else None)
    if wait_s is not None:
        extra["Retry-After"] = str(wait_s)
        body["retry_after_ms"] = wait_s * 1000
    return JSONResponse(body, status, extra, media_type=PROBLEM_MEDIA_TYPE)


def invalid(error: ValidationError) -> Problem:
    """The problem for a body that breaks the rules of its fields."""
    errors = field_errors(error)
    return Problem("validation-failed", f"{errors[0]['pointer']}: {errors[0]['detail']}", errors)


def add_handlers(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error, Problem):
            return response_of(error)
        known = _methods(request) if error.status_code in (404, 405) else []
        if error.status_code == 405 or known:
            detail = f"{request.method} is not for this address"
            return problem_response("method-not-allowed", detail, headers={"Allow": ", ".join(known or PAGE_METHODS)})
        code = _BY_STATUS.get(error.status_code, "malformed-request" if error.status_code < 500 else "internal")
        return problem_response(code, str(error.detail), headers=dict(error.headers or {}))

    async def on_validation(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # Only queries get here; bodies are read by hand, and theirs start at the document's root.
        errors = [
            {
                "pointer": "/" + str(item["loc"][-1]),
                "code": "unknown_field" if item["type"] == "extra_forbidden" else "not_allowed",
                "detail": item["msg"],
            }
            for item in error.errors()
        ]
        return problem_response("validation-failed", f"{errors[0]['pointer']}: {errors[0]['detail']}", errors)

    async def on_bug(_request: Request, error: Exception) -> Response:
        instance = new_id("req")
        _log.error("a request failed", kind="request_failed", req=instance, exc_info=error)
        return problem_response("internal", "this is a bug; the log has the details", instance=instance)

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(Exception, on_bug)


def _methods(request: Request) -> list[str]:
    """What the address knows, if it is one of the API's. The router itself names the methods of one route only, and
    takes what is left for a file of the page's."""
    doors = [route for route in request.app.routes if not isinstance(route, Mount)]
    scopes = {method: {**request.scope, "method": method} for method in METHODS}
    known = [method for method in METHODS if any(door.matches(scopes[method])[0] is Match.FULL for door in doors)]
    return [*known, "HEAD"] if "GET" in known else known
