"""Changes of a session's settings, which are all or nothing, and may be tied to the settings that the caller knows."""

from __future__ import annotations

import hashlib
from typing import Annotated

import orjson
from fastapi import Header, Request

from service.api.handshake import room_needed
from service.api.problems import Problem
from service.engine.changing import ChangeRefused
from service.engine.session import Session
from service.protocol.requests import PatchRequest

# For the OpenAPI document; the header is read by `check_if_match`.
IfMatch = Annotated[
    str | None,
    Header(alias="If-Match", description="`ETag` of the session as you know it: 412 if it was changed since"),
]


def etag(session: Session) -> str:
    """The same as long as nobody changes the session's settings; counters do not count."""
    settings = session.request.model_dump(mode="json", include=set(PatchRequest.model_fields) - {"result"})
    parts = session.answers.want.model_dump()
    digest = hashlib.sha256(orjson.dumps([session.id, settings, parts], option=orjson.OPT_SORT_KEYS))
    return f'"{digest.hexdigest()[:16]}"'


def check_if_match(request: Request, session: Session) -> None:
    """Raises the Problem etag-mismatch if the caller knows other settings."""
    asked = request.headers.get("if-match")
    if asked is not None and not {"*", etag(session)} & {part.strip() for part in asked.split(",")}:
        raise Problem("etag-mismatch", "the session's settings are others by now: get it and look")


def change(session: Session, patch: PatchRequest) -> None:
    """Lets a merge patch take effect. Raises a Problem."""
    try:
        with room_needed():
            session.change(patch)
    except ChangeRefused as error:
        entry = {"pointer": error.pointer, "code": error.code, "detail": str(error)}
        raise Problem("validation-failed", str(error), [entry]) from error
