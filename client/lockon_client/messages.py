"""What the server says: every message as a frozen dataclass, parsed from its JSON text without any socket.

Unknown fields and message types are ignored and an unknown state reads as `uncertain`, as version 1 of the protocol
asks of its clients.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from lockon_client.errors import StreamClosed


class Box(NamedTuple):
    """x, y, w, h in pixels of the full frame; x, y is the top-left corner, 0-based."""

    x: float
    y: float
    w: float
    h: float


class State(StrEnum):
    """How sure the tracker is; `reacquired` is told exactly once."""

    INITIALIZING = "initializing"
    TRACKING = "tracking"
    UNCERTAIN = "uncertain"
    LOST = "lost"
    REACQUIRED = "reacquired"


_STATES = frozenset(state.value for state in State)


@dataclass(frozen=True, slots=True)
class TargetResult:
    """Where one target is. `box` is frozen while the target is lost; `score` and `raw` are 0 to 1."""

    id: str
    box: Box
    score: float
    raw: float | None
    state: State
    lost_ms: float | None
    search: str


@dataclass(frozen=True, slots=True)
class NextWindow:
    """What the server will look at in the next frame: x, y, w, h in frame pixels. `full`: it needs the whole frame.
    Scaled down to less than `max_scale` the window has fewer pixels than the network takes."""

    full: bool
    window: tuple[int, int, int, int] | None
    max_scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one frame.

    `true_age_ms` is the time from handing the frame to this package until its result was here, on this machine's own
    clock; `age_ms` is the server's estimate. `dropped` counts frames the server left out since the result before,
    `skipped` all frames that this package left out so far because newer ones were there.
    """

    seq: int
    epoch: int
    ts_us: int | None
    targets: tuple[TargetResult, ...]
    age_ms: float
    true_age_ms: float | None
    dropped: int
    dropped_total: int
    skipped: int
    timings: Mapping[str, float] = field(default_factory=dict)
    fps_in: float | None = None
    fps_out: float | None = None
    next: NextWindow | None = None


@dataclass(frozen=True, slots=True)
class Credit:
    """How many frames may be under way without an answer: ordinary ones, and those of which each counts. Of ordinary
    ones up to `done_seq` none is any more."""

    frames: int
    must: int
    done_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Welcome:
    """The server's first message on each socket: the session and what it allows.

    `epoch` counts the session's sockets. With `resume_token` another socket may go on with the session within
    `resume_ttl_s` seconds; `last_seq` is the newest frame that the server has had, if any. `resumed`: the session was
    there before."""

    session: str
    epoch: int
    model: str
    mode: str
    targets: tuple[str, ...]
    resume_token: str | None = None
    resume_ttl_s: float = 0.0
    last_seq: int | None = None
    credit: Credit = Credit(2, 4)
    resumed: bool = True


@dataclass(frozen=True, slots=True)
class Ack:
    """The answer to one target operation."""

    op: str
    ok: bool
    on_seq: int | None
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something the server did not like but lives with; `seq` names a rejected frame."""

    code: str
    detail: str
    seq: int | None


@dataclass(frozen=True, slots=True)
class Failed:
    """An `error` message; after a fatal one the server closes the connection. At `stream_url` there is a server that
    would not, or this one would not after `retry_after_s`. `pointer` is what was wrong in the message it is about."""

    code: str
    detail: str
    fatal: bool
    seq: int | None
    op: str | None
    stream_url: str | None = None
    retry_after_s: float | None = None
    pointer: str | None = None


@dataclass(frozen=True, slots=True)
class Ping:
    """The server asks for a pong with the same numbers."""

    n: int
    t_ms: float


@dataclass(frozen=True, slots=True)
class NewToken:
    """A resume token in place of the one before."""

    token: str


@dataclass(frozen=True, slots=True)
class Event:
    """A change of the session: `rate_changed`, `degraded`, `model_changed`, `state_lost`, with what changed. Those of
    targets show in the results' states."""

    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class GoAway:
    """The server will close the socket. With a token, another server goes on with the session: connect again after a
    random time between the two of `reconnect_after_s`, at `stream_url` if there is one."""

    reason: str
    token: str | None
    reconnect_after_s: tuple[float, float]
    stream_url: str | None = None


Message = Welcome | Credit | Result | Ack | Warned | Failed | Ping | NewToken | Event | GoAway


def parse(text: str, now_us: int, skipped: int) -> Message | None:
    """The message in `text`; None for types this version does not know or need (pong ...).

    `now_us` is the clock the frames were stamped with, `skipped` the count to report in a result.
    Raises StreamClosed where the text breaks the protocol: nothing after it could be trusted.
    """
    try:
        raw = json.loads(text)
        return _message(raw, now_us, skipped)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StreamClosed(f"the server sent a message that breaks the protocol: {text[:200]!r}") from error


def _message(raw: Mapping[str, Any], now_us: int, skipped: int) -> Message | None:
    match raw["type"]:
        case "result":
            return _result(raw, now_us, skipped)
        case "welcome":
            return _welcome(raw)
        case "credit":
            return _credit(raw)
        case "ack":
            return Ack(raw["op"], raw["ok"], raw.get("on_seq"), raw.get("code") or "", raw.get("detail") or "")
        case "warning":
            seq = raw.get("seq", (raw.get("data") or {}).get("seq"))
            return Warned(_rejected_reason(raw), raw.get("detail") or "", seq)
        case "error":
            return _failed(raw)
        case "ping":
            return Ping(raw["n"], raw["t_ms"])
        case "event" if raw["kind"] == "token":
            return NewToken(raw["data"]["resume_token"])
        case "event" if raw.get("id") is None:
            return Event(raw["kind"], raw.get("data") or {})
        case "goaway":
            low, high = raw.get("reconnect_after_ms") or (0, 0)
            after_s, stream_url = (low / 1000, high / 1000), raw.get("stream_url")
            return GoAway(raw["reason"], raw.get("resume_token"), after_s, stream_url)
    return None


def _failed(raw: Mapping[str, Any]) -> Failed:
    wait_ms = raw.get("retry_after_ms")
    return Failed(
        code=raw["code"],
        detail=raw.get("detail") or "",
        fatal=bool(raw.get("fatal")),
        seq=raw.get("seq"),
        op=raw.get("op"),
        stream_url=raw.get("stream_url"),
        retry_after_s=None if wait_ms is None else wait_ms / 1000,
        pointer=raw.get("pointer"),
    )


def _rejected_reason(raw: Mapping[str, Any]) -> str:
    """`frame_rejected:<reason>` where a reason is told, else the warning's own code."""
    reason = (raw.get("data") or {}).get("reason")
    return f"{raw['code']}:{reason}" if reason else str(raw["code"])


def _result(raw: Mapping[str, Any], now_us: int, skipped: int) -> Result:
    ts_us = raw.get("ts_us")
    fps = raw.get("fps") or {}
    return Result(
        seq=raw["seq"],
        epoch=raw.get("epoch", 1),
        ts_us=ts_us,
        targets=tuple(_target(target) for target in raw["targets"]),
        age_ms=raw["age_ms"],
        true_age_ms=None if ts_us is None else (now_us - ts_us) / 1000,
        dropped=raw.get("dropped", 0),
        dropped_total=raw.get("dropped_total", 0),
        skipped=skipped,
        timings=raw.get("timings") or {},
        fps_in=fps.get("in"),
        fps_out=fps.get("out"),
        next=_next_window(raw["next"]) if raw.get("next") else None,
    )


def _next_window(raw: Mapping[str, Any]) -> NextWindow:
    if raw["window"] is None:
        return NextWindow(full=True, window=None)
    x, y, w, h = raw["window"]
    return NextWindow(bool(raw["full"]), (x, y, w, h), raw.get("max_scale", 1.0))


def _target(raw: Mapping[str, Any]) -> TargetResult:
    x, y, w, h = raw["box"]
    state = raw["state"]
    return TargetResult(
        id=raw["id"],
        box=Box(x, y, w, h),
        score=raw["score"],
        raw=raw.get("raw"),
        state=State(state) if state in _STATES else State.UNCERTAIN,
        lost_ms=raw.get("lost_ms"),
        search=raw.get("search", "local"),
    )


def _credit(raw: Mapping[str, Any]) -> Credit:
    return Credit(raw["frames"], raw["must"], raw.get("done_seq"))


def _welcome(raw: Mapping[str, Any]) -> Welcome:
    model = raw.get("model") or {}
    return Welcome(
        session=raw["session"],
        epoch=raw.get("epoch", 1),
        model=model["id"] if isinstance(model, dict) else str(model),
        mode=raw.get("mode", "latest"),
        targets=tuple(target["id"] for target in raw.get("targets") or ()),
        resume_token=raw.get("resume_token"),
        resume_ttl_s=raw.get("resume_ttl_s") or 0.0,
        last_seq=raw.get("last_seq"),
        credit=_credit(raw["credit"]),
        resumed=raw.get("resumed", True),
    )
