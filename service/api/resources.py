"""What the REST doors answer with, as types: the OpenAPI document is made of them; tests hold answers against it."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, with_config

# pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict

from service.protocol.requests import CreateRequest, LoadRequest, PatchRequest, SessionTicketRequest, TicketRequest
from service.protocol.server_messages import DESCRIBED, Count, ModelInfo, Result, TargetInfo

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, examples=["2026-05-04T12:00:00.000+00:00"])]
SessionId = Annotated[str, Field(examples=["ses_vbnq3sdvzyvpz5xlm2ihdzr7aa"])]


class ResultParts(TypedDict):
    """Optional parts of results."""

    timings: bool
    window: bool


@with_config(DESCRIBED)
class Session(TypedDict):
    """A session."""

    id: SessionId
    state: Literal["created", "live", "detached", "closed"]
    epoch: Count
    """Counts its sockets"""
    model: str
    mode: Literal["latest", "every"]
    label: str | None
    metadata: dict[str, Any] | None
    result: ResultParts
    max_fps: float | None
    deadline_ms: float | None
    cadence: int | None
    thresholds: dict[str, float] | None
    """Those that take the model's place"""
    detached_ttl_s: Count
    """How long it waits for a socket"""
    created_at: Time
    expires_at: Time | None
    """When it is forgotten if no socket comes; null while it has one"""
    stream_url: str
    targets: list[TargetInfo]
    counters: dict[str, Count]
    """`received` = `processed` + `dropped` + `rejected` + `waiting`; `dropped_…` are the reasons of `dropped`"""


@with_config(DESCRIBED)
class SessionPage(TypedDict):
    """Some of the caller's sessions, the newest first."""

    items: list[Session]
    next_cursor: str | None
    """`cursor` of the next page; null on the last one"""


@with_config(DESCRIBED)
class Ticket(TypedDict):
    """A single-use ticket for one socket."""

    ticket: str
    expires_at: Time
    stream_url: str
    resume_token: NotRequired[str | None]


@with_config(DESCRIBED)
class Measured(TypedDict):
    """What was measured on this machine when the model was loaded."""

    step_ms: dict[str, float]
    """Milliseconds of one step of the tracker, for so many targets at once"""
    largest_batch: Count
    """Most targets that are searched for in one run, as larger batches save nothing"""
    runtimes_ms: dict[str, float] | None
    """Milliseconds of one search in each runtime that was tried; null where there was no choice"""
    runtimes_refused: dict[str, str] | None
    """Runtimes that gave other boxes, with how far they were apart"""


@with_config(DESCRIBED)
class Model(TypedDict):
    """A model: while it is being loaded no more than its name."""

    id: str
    state: Literal["ready", "retiring", "loading"]
    default: bool
    """Sessions that name no model get it"""
    family: NotRequired[str]
    architecture: NotRequired[str | None]
    input: NotRequired[int]
    template: NotRequired[int]
    search_sizes: NotRequired[list[int]]
    search_factor: NotRequired[float]
    runtime: NotRequired[str]
    device: NotRequired[str]
    precision: NotRequired[str]
    warm: NotRequired[bool]
    measured: NotRequired[Measured]
    sessions: NotRequired[Count]
    """How many use it"""
    loaded_at: NotRequired[Time]


class ModelList(TypedDict):
    """Every model."""

    items: list[Model]


@with_config(DESCRIBED)
class SessionQuota(TypedDict):
    """Sessions at once."""

    used: Count
    limit: Count
    """The caller's own, and the server's where that is less"""


@with_config(DESCRIBED)
class Limits(TypedDict):
    """What the caller may ask for."""

    max_frame_bytes: Count
    max_body_bytes: Count
    max_pixels: Count
    max_targets: Count
    must_queue: Count
    must_queue_bytes: Count
    hello_timeout_s: float
    idle_timeout_s: float
    detached_ttl_s: Count
    """How long a session without a socket is kept where it does not say"""
    frames_per_s: float | None
    """Of all the caller's sessions; null: no quota"""
    bytes_per_s: float | None
    sessions: SessionQuota


@with_config(DESCRIBED)
class Liveness(TypedDict):
    """Whether the process works."""

    status: Literal["ok", "stuck", "worker_died", "task_died", "stopped"]
    longest_batch_s: float


class Version(TypedDict):
    """What runs here."""

    name: Literal["lockon"]
    version: str
    protocol: str


class WrongField(TypedDict):
    """A field that is wrong."""

    pointer: str
    code: str
    detail: str


@with_config(DESCRIBED)
class Problem(TypedDict):
    """A refusal (RFC 9457)."""

    type: str
    """`/problems/` and the code: a name, nothing is served there"""
    title: str
    status: Annotated[int, Field(ge=300, le=599)]
    detail: str
    instance: str
    """This very refusal, as the log names it"""
    code: str
    errors: NotRequired[list[WrongField]]
    retry_after_ms: NotRequired[Count]


SCHEMAS: tuple[Any, ...] = (
    *(CreateRequest, PatchRequest, LoadRequest, TicketRequest, SessionTicketRequest),
    *(Session, SessionPage, Ticket, Model, ModelList, Limits, Liveness, Version, Problem, Result, ModelInfo),
)
"""Every schema that an address refers to."""
