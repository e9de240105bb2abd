"""Bodies of requests: of a known form, of bounded size and in bounded time, or a problem."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect

from service.api.problems import Problem, invalid
from service.protocol.strict_json import MAX_TEXT_BYTES, JsonRefused, parsed
from service.settings import Settings

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, kind: type[Body], *media_types: str) -> Body:
    """The body as that kind; an empty one counts as an empty object. `media_types` are taken beside JSON's own.

    Raises a Problem."""
    data = await read_bytes(request, MAX_TEXT_BYTES)
    # A browser asks before it sends these content types to another site: no page can change anything unasked.
    if data and request.headers.get("content-type", "").partition(";")[0].strip().lower() not in (JSON, *media_types):
        raise Problem("unsupported-media", f"the body is {' or '.join((*media_types, JSON))}")
    try:
        return kind.model_validate(parsed(data) if data else {})
    except JsonRefused as error:
        raise Problem("malformed-request", str(error)) from error
    except ValidationError as error:
        raise invalid(error) from error


async def read_bytes(request: Request, limit: int) -> bytes:
    """The body, of at most so many bytes. Raises a Problem."""
    if request.headers.get("content-encoding"):
        raise Problem("unsupported-media", "compressed bodies are not taken")
    settings: Settings = request.app.state.settings
    timeout_s = settings.limits.body_timeout_s
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limit:
                    raise Problem("body-too-large", f"the limit is {limit} bytes")
    except TimeoutError as error:
        raise Problem("request-timeout", f"the body was not there after {timeout_s:g} s") from error
    except ClientDisconnect as error:
        raise Problem("malformed-request", "the body ended early") from error
    return bytes(body)
