"""POST /v1/sessions/{id}/frames: one frame in, one result out, for those who have no socket."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from models.geometry import Box
from service.api.bodies import read_bytes
from service.api.credentials import StreamCaller
from service.api.locating import ELSEWHERE, located
from service.api.openapi import answers
from service.api.problems import Problem
from service.engine.outbox import CloseOrder, Outbox, ResultDraft
from service.engine.registry import Registry
from service.engine.session import Session
from service.ids import new_id
from service.protocol.header import HEADER_BYTES, MAGIC, MAX_SEQ, Flag, FrameHeader, Kind
from service.protocol.images import sniffed
from service.protocol.messages import TargetAdd, TargetUpdate
from service.protocol.requests import TargetId
from service.protocol.results import Payload

router = APIRouter(prefix="/v1/sessions", tags=["sessions"])

_NUMBER = r"-?\d{1,6}(\.\d{1,6})?"
_MEDIA = ("image/jpeg", "image/png", "image/webp", "application/octet-stream")
_BODY = {
    "requestBody": {
        "required": True,
        "description": "An image file, bare or after the header of a binary message",
        "content": {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in _MEDIA},
    }
}
_PROBLEM_OF = {
    "image_too_large": "image-too-large",
    "unsupported_media": "unsupported-media",
    "bad_magic": "unsupported-media",
    "image_undecodable": "image-undecodable",
    "too_short": "image-undecodable",
}
"""Of a frame that was rejected; every other reason is a field of its header that is wrong."""


class FrameQuery(BaseModel):
    """Which frame this is, and what is to be followed from it on."""

    model_config = ConfigDict(extra="forbid")

    box: Annotated[
        str | None,
        Field(
            pattern=rf"^{_NUMBER}(,{_NUMBER}){{3}}$",
            description="x,y,w,h of a target in this frame: it is added, or started anew if there is one of that id",
            examples=["410,220,64,60"],
        ),
    ] = None
    target: Annotated[TargetId | None, Field(description="The id of that target")] = None
    seq: Annotated[int | None, Field(ge=0, le=MAX_SEQ, description="Number of a bare image; by default the next")] = (
        None
    )


@router.post(
    "/{session_id}/frames",
    response_model=None,
    openapi_extra=_BODY,
    responses=answers(
        200,
        "Result",
        "What a socket would get for this frame",
        *("malformed-request", "request-timeout", "not-found", "session-attached", "gone", "body-too-large"),
        *("image-too-large", "unsupported-media", "validation-failed", "image-undecodable", "rate-limited"),
        *("deadline-exceeded", *ELSEWHERE),
    ),
)
async def follow_frame(
    request: Request, session_id: str, caller: StreamCaller, query: Annotated[FrameQuery, Query()]
) -> Response:
    """One frame in, one result out. For slow cameras and first steps; everything faster takes a socket."""
    registry: Registry = request.app.state.registry
    data = await read_bytes(request, registry.limits.max_frame_bytes)
    session = await located(request, session_id, caller.owner)
    if session.outbox is not None:
        raise Problem("session-attached", "a socket, or another request, is attached to this session")
    operation = _operation(query, session)
    if operation is None and not session.target_views():
        raise _wrong("/box", "unknown_target", "the session follows nothing yet: say where the target is")
    outbox = Outbox(registry.limits.outbound_queue)
    session.attach(outbox, perf_counter(), epoch=session.epoch)
    session.go_on(None)
    try:
        with _asked(session, operation):
            async with asyncio.timeout(registry.limits.send_timeout_s):
                session.receive(_message(data, query.seq, session.last_seq), perf_counter())
                return JSONResponse(await _result(outbox, session))
    except TimeoutError as error:
        detail = f"no result after {registry.limits.send_timeout_s:g} s"
        raise Problem("deadline-exceeded", detail) from error
    finally:
        if session.outbox is outbox:
            session.detach(perf_counter())


def _operation(query: FrameQuery, session: Session) -> TargetAdd | TargetUpdate | None:
    if query.box is None:
        if query.target is not None:
            raise _wrong("/target", "not_allowed", "a target needs its box")
        return None
    box, op = [float(number) for number in query.box.split(",")], new_id("req")
    if query.target is not None and query.target in session.followed:
        return TargetUpdate(type="target.update", op=op, id=query.target, box=box)
    return TargetAdd(type="target.add", op=op, id=query.target, box=box)


@contextmanager
def _asked(session: Session, operation: TargetAdd | TargetUpdate | None) -> Iterator[None]:
    """Has the session follow what a request names. What has not come to that in the end is taken back: the next request
    says anew what is to be followed."""
    if operation is None:
        yield
        return
    with session.following.operations.placed(operation.id, Box(*operation.box)) as is_placed:
        if not is_placed:
            session.operate(operation, perf_counter())
        try:
            yield
        finally:
            session.withdraw(operation.op)


def _message(data: bytes, seq: int | None, last_seq: int) -> bytes:
    """The binary message for a body: must-process, as there has to be an answer."""
    if sniffed(data) is not None:
        # The first frame is number 1, as on a socket.
        number = min(max(last_seq, 0) + 1, MAX_SEQ) if seq is None else seq
        return FrameHeader(Kind.FULL, Flag.MUST_PROCESS, number, 0, 0, 0, 0, 0, 0, 0).packed() + data
    if data[:4] == MAGIC and len(data) > HEADER_BYTES:
        (flags,) = struct.unpack_from("<H", data, 6)
        return data[:6] + struct.pack("<H", flags & ~Flag.NO_REPLY | Flag.MUST_PROCESS) + data[8:]
    return data


async def _result(outbox: Outbox, session: Session) -> Payload:
    """The result of the only frame that is under way. Raises a Problem."""
    while True:
        item = await outbox.get()
        if isinstance(item, ResultDraft):
            if item.seq == session.last_seq:
                return session.answers.payload(item, session.epoch, perf_counter())
        elif isinstance(item, CloseOrder):
            raise _ended(item)
        else:
            _check(item)


def _check(message: Payload) -> None:
    """Raises the Problem that a message tells of."""
    kind, data = message["type"], message.get("data", {})
    if kind == "warning" and message["code"] == "frame_rejected":
        code = _PROBLEM_OF.get(data["reason"])
        raise Problem(code, message["detail"]) if code else _wrong("/seq", data["reason"], message["detail"])
    if kind == "error" and message["code"] in ("rate_limited", "must_queue_full"):
        raise Problem("rate-limited", message["detail"], retry_after_s=1)
    if kind == "error" and message["code"] == "internal":
        raise Problem("internal", message["detail"])
    if kind == "error" or (kind == "ack" and not message["ok"]):
        raise _wrong(message.get("pointer", "/box"), message["code"], message["detail"])


def _ended(order: CloseOrder) -> Problem:
    if order.code == 4409:
        return Problem("session-attached", "a socket took the session over")
    if order.code in (4413, 4429):
        return Problem("rate-limited", "far beyond what this key may send", retry_after_s=1)
    return Problem("internal" if order.code == 1011 else "gone", order.reason)


def _wrong(pointer: str, code: str, detail: str) -> Problem:
    errors: list[dict[str, Any]] = [{"pointer": pointer, "code": code, "detail": detail}]
    return Problem("validation-failed", detail, errors)
