"""Errors over HTTP: RFC 9457 problems; one table from code to status."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from service.ids import new_id
from service.protocol.messages import field_errors

STATUS = {
    "malformed-request": 400,
    "unauthenticated": 401,
    "origin-not-allowed": 403,
    "forbidden": 403,
    "not-found": 404,
    "method-not-allowed": 405,
    "model-is-default": 409,
    "model-loading": 409,
    "session-attached": 409,
    "gone": 410,
    "body-too-large": 413,
    "unsupported-media": 415,
    "validation-failed": 422,
    "rate-limited": 429,
    "internal": 500,
    "no-capacity": 503,
}
TITLES = {
    "malformed-request": "The request cannot be read",
    "unauthenticated": "This server wants to know who you are",
    "forbidden": "This server does not allow that",
    "origin-not-allowed": "This page may not open sockets here",
    "not-found": "There is no such thing",
    "method-not-allowed": "This address knows no such method",
    "model-is-default": "The default model cannot be retired",
    "model-loading": "Another model is being loaded",
    "session-attached": "The session has a socket already",
    "gone": "The session was closed or has expired",
    "body-too-large": "The body is too large",
    "unsupported-media": "The body is of a kind that is not taken",
    "validation-failed": "The request is not valid",
    "rate-limited": "That is more than you may use",
    "internal": "The server failed",
    "no-capacity": "The server is full",
}
_BY_STATUS = {status: code for code, status in STATUS.items()}


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
) -> Response:
    """The response for the problem of that code."""
    status = STATUS[code]
    body: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": TITLES[code],
        "status": status,
        "detail": detail,
        "instance": new_id("req"),
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
    return JSONResponse(body, status, extra, media_type="application/problem+json")


def invalid(error: ValidationError) -> Problem:
    """The problem for a body that breaks the rules of its fields."""
    errors = field_errors(error)
    return Problem("validation-failed", f"{errors[0]['pointer']}: {errors[0]['detail']}", errors)


def add_handlers(app: FastAPI) -> None:
    """Makes every error of the application a problem."""

    async def on_http(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if isinstance(error, Problem):
            return response_of(error)
        code = _BY_STATUS.get(error.status_code, "malformed-request" if error.status_code < 500 else "internal")
        return problem_response(code, str(error.detail), headers=dict(error.headers or {}))

    async def on_validation(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        # Only queries get here; bodies are read by hand, and theirs start at the document's root.
        found = error.errors()
        errors = [
            {"pointer": "/" + str(item["loc"][-1]), "code": "not_allowed", "detail": item["msg"]} for item in found
        ]
        return problem_response("validation-failed", f"{errors[0]['pointer']}: {errors[0]['detail']}", errors)

    async def on_bug(_request: Request, _error: Exception) -> Response:
        return problem_response("internal", "this is a bug; the log has the details")

    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_validation)
    app.add_exception_handler(Exception, on_bug)
