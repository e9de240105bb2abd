"""Messages to the client: plain objects, encoded by orjson at the moment of sending."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

Payload = dict[str, Any]

PING_MS = 15000


def encoded(payload: Payload) -> str:
    """The text of a message; a number that is not finite becomes null."""
    return encoded_bytes(payload).decode()


def encoded_bytes(payload: Payload) -> bytes:
    """The same as it goes over the wire, in UTF-8."""
    return orjson.dumps(payload)


def ack(op: str, *, on_seq: int | None = None, caught_up: int = 0) -> Payload:
    """An operation that took effect."""
    return {"type": "ack", "op": op, "ok": True, "on_seq": on_seq, "caught_up": caught_up}


def refusal(op: str, code: str, detail: str, pointer: str = "") -> Payload:
    """An operation that had no effect."""
    message = {"type": "ack", "op": op, "ok": False, "on_seq": None, "caught_up": 0, "code": code, "detail": detail}
    return message | ({"pointer": pointer} if pointer else {})


def error(
    code: str,
    detail: str,
    *,
    fatal: bool = False,
    seq: int | None = None,
    pointer: str = "",
    stream_url: str | None = None,
    retry_after_ms: int | None = None,
) -> Payload:
    """Something that went wrong; after a fatal one the socket is closed. At `stream_url`, or later, it would not."""
    message: Payload = {"type": "error", "code": code, "detail": detail, "fatal": fatal}
    if seq is not None:
        message["seq"] = seq
    if pointer:
        message["pointer"] = pointer
    if stream_url is not None:
        message["stream_url"] = stream_url
    if retry_after_ms is not None:
        message["retry_after_ms"] = retry_after_ms
    return message


def warning(code: str, detail: str, **data: Any) -> Payload:
    """Something that the client should know and may ignore."""
    return {"type": "warning", "code": code, "detail": detail, "data": data}


def event(kind: str, target: str, seq: int, **data: Any) -> Payload:
    """A change of a target's state."""
    return {"type": "event", "kind": kind, "id": target, "seq": seq, "data": data}


def pong(n: int, t_ms: float | None, clock_ms: float) -> Payload:
    """Answer to a ping."""
    return {"type": "pong", "n": n, "t_ms": t_ms, "clock_ms": clock_ms}


def credit(frames: int, must: int, done_seq: int | None = None) -> Payload:
    """How many frames may be under way; up to `done_seq` none is any more."""
    message: Payload = {"type": "credit", "frames": frames, "must": must}
    return message if done_seq is None else message | {"done_seq": done_seq}


def token_event(token: str) -> Payload:
    """A newer resume token: the older one will expire."""
    return {"type": "event", "kind": "token", "data": {"resume_token": token}}


def rate_event(wanted: float, answered: float) -> Payload:
    """Fewer frames are answered than come, or all of them again; frames per second."""
    return {"type": "event", "kind": "rate_changed", "data": {"wanted_fps": wanted, "fps": answered}}


def cadence_event(cadence: int) -> Payload:
    """Under overload the network looks at one of so many frames at least; 1: at every one again."""
    return {"type": "event", "kind": "degraded", "data": {"cadence": cadence}}


def model_event(model: str, restarted: Sequence[str], removed: Sequence[str]) -> Payload:
    """The session goes on with another model: these targets are started anew, those are followed no more."""
    data = {"model": model, "restarted": list(restarted), "removed": list(removed)}
    return {"type": "event", "kind": "model_changed", "data": data}


def lost_event(reason: str) -> Payload:
    """There was no session to resume, for that reason: this is a new one."""
    return {"type": "event", "kind": "state_lost", "data": {"reason": reason}}


def goaway(
    reason: str,
    deadline_ms: int = 0,
    reconnect_after_ms: Sequence[int] = (0, 1000),
    token: str | None = None,
    stream_url: str | None = None,
) -> Payload:
    """The socket is about to be closed; at `stream_url` there is room to go on."""
    message: Payload = {
        "type": "goaway",
        "reason": reason,
        "deadline_ms": deadline_ms,
        "reconnect_after_ms": list(reconnect_after_ms),
        "resume_token": token,
    }
    return message if stream_url is None else message | {"stream_url": stream_url}
