"""Bodies of requests: JSON of a known form and bounded size, or a problem."""

from __future__ import annotations

from typing import TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError

from service.api.problems import Problem, invalid
from service.protocol.strict_json import MAX_TEXT_BYTES, JsonRefused, parsed

Body = TypeVar("Body", bound=BaseModel)


async def read_body(request: Request, kind: type[Body]) -> Body:
    """The body as that kind; an empty one counts as an empty object. Raises a Problem."""
    if request.headers.get("content-encoding"):
        raise Problem("unsupported-media", "compressed bodies are not taken")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_TEXT_BYTES:
            raise Problem("body-too-large", f"the limit is {MAX_TEXT_BYTES} bytes")
    # A browser asks before it sends this content type to another site: no page can change anything unasked.
    if body and request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem("unsupported-media", "the body is application/json")
    try:
        return kind.model_validate(parsed(bytes(body)) if body else {})
    except JsonRefused as error:
        raise Problem("malformed-request", str(error)) from error
    except ValidationError as error:
        raise invalid(error) from error
