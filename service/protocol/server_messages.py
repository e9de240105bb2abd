"""Messages to the client, as types: what the AsyncAPI document is made of. On their way out they are plain objects
(`service.protocol.results`); the tests hold every message that a server sends against these types."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import ConfigDict, Field, with_config

# pydantic needs this one before Python 3.12.
from typing_extensions import TypedDict

# A field's docstring becomes its description; and no other fields may be sent, so that the document is complete.
DESCRIBED = ConfigDict(use_attribute_docstrings=True, extra="forbid")

Count = Annotated[int, Field(ge=0)]
Seq = Annotated[int, Field(ge=0, le=2**32 - 1)]
Milliseconds = Annotated[float, Field(ge=0)]
Score = Annotated[float, Field(description="0 to 1")]
BoxView = Annotated[list[float], Field(min_length=4, max_length=4, examples=[[410.2, 221.9, 64.0, 58.5]])]
WindowView = Annotated[list[int], Field(min_length=4, max_length=4, examples=[[336, 144, 208, 208]])]
TargetState = Literal["initializing", "tracking", "uncertain", "lost", "reacquired"]


@with_config(DESCRIBED)
class ModelInfo(TypedDict):
    """A model, and what runs it."""

    id: str
    """The package's name"""
    state: Literal["ready", "retiring"]
    """A model that retires takes no new sessions"""
    family: str
    """What tells how it searches, e.g. `siamrpn`"""
    architecture: str | None
    """The network; the dummy has none"""
    input: int
    """Side of the search crop, in network pixels"""
    template: int
    """Side of the template, in network pixels"""
    search_sizes: list[int]
    """Every side that is searched with"""
    search_factor: float
    """`input` over `template`"""
    runtime: str
    """What executes its graphs"""
    device: str
    """Where they run"""
    precision: str
    """The numbers they compute in"""


@with_config(DESCRIBED)
class TargetInfo(TypedDict):
    """A target of the session."""

    id: str
    label: str | None
    state: TargetState
    box: BoxView | None
    """x, y, w, h in frame pixels; null before its first frame"""


@with_config(DESCRIBED)
class StreamLimits(TypedDict):
    """What one socket may ask for."""

    max_frame_bytes: Count
    max_pixels: Count
    max_targets: Count
    must_queue: Count
    max_fps: float | None
    """null: as many as arrive"""


@with_config(DESCRIBED)
class Credit(TypedDict):
    """How many frames may be under way, without a result or an error."""

    frames: Count
    """Ordinary ones; more would only replace each other"""
    must: Count
    """Must-process ones; more may be refused"""


@with_config(DESCRIBED)
class Welcome(TypedDict):
    """The first message of the server."""

    type: Literal["welcome"]
    version: Literal[1]
    session: str
    epoch: Annotated[int, Field(ge=1)]
    """Counts the sockets of the session"""
    resumed: bool
    last_seq: Seq | None
    """The newest frame that the session has; null if it has none"""
    resume_token: str | None
    resume_ttl_s: Count
    """How long the session waits for the next socket"""
    model: ModelInfo
    mode: Literal["latest", "every"]
    limits: StreamLimits
    credit: Credit
    targets: list[TargetInfo]
    clock_ms: float
    """The server's monotonic clock"""
    ping_ms: Milliseconds


@with_config(DESCRIBED)
class TargetResult(TypedDict):
    """Where a target is."""

    id: str
    box: BoxView
    """x, y, w, h in frame pixels; frozen while the target is lost"""
    score: Score
    raw: Score
    """The network's own number"""
    state: TargetState
    """Treat unknown ones as `uncertain`"""
    lost_ms: Milliseconds | None
    """Since the target was lost; null if it is not"""
    search: Literal["local", "wide", "global", "none", "carried"]
    """How far it was looked for; `carried`: not in this frame, but moved on from the last one"""


@with_config(DESCRIBED)
class StageTimings(TypedDict):
    """Milliseconds of the stages; `batch` counts the targets that were looked for together."""

    wait: Milliseconds
    decode: Milliseconds
    prep: Milliseconds
    infer: Milliseconds
    post: Milliseconds
    batch: Count
    send_wait: Milliseconds


@with_config(DESCRIBED)
class NextFrame(TypedDict):
    """What to send of the next frame."""

    full: bool
    """Only the whole frame will do"""
    window: WindowView | None
    """x, y, w, h of the part that will be looked at, in frame pixels"""
    max_scale: Annotated[float, Field(gt=0, le=1)]
    """How far a window may be scaled down before the network gets fewer pixels than it takes"""


Fps = TypedDict("Fps", {"in": float, "out": float})


@with_config(DESCRIBED)
class Result(TypedDict):
    """The answer to one frame."""

    type: Literal["result"]
    seq: Seq
    """The frame that this is the answer to"""
    epoch: Annotated[int, Field(ge=0)]
    ts_us: Count | None
    """The frame's own time stamp, given back"""
    targets: list[TargetResult]
    age_ms: float
    """From arrival to sending, plus the frame's delay above the best one seen lately"""
    dropped: Count
    """Good frames that were not processed, since the last result"""
    dropped_total: Count
    timings: NotRequired[StageTimings]
    next: NotRequired[NextFrame]
    fps: Fps
    """Frames per second in and out"""


@with_config(DESCRIBED)
class Ack(TypedDict):
    """What an operation came to."""

    type: Literal["ack"]
    op: str
    ok: bool
    on_seq: Seq | None
    """The frame in which it took effect"""
    caught_up: Count
    """Retained frames that the target was followed through since"""
    code: NotRequired[str]
    """Why it had no effect"""
    detail: NotRequired[str]
    pointer: NotRequired[str]
    """JSON pointer to the field that is wrong"""


@with_config(DESCRIBED)
class Event(TypedDict):
    """A change of a target's state, or of the session."""

    type: Literal["event"]
    kind: Literal["lost", "reacquired", "gave_up", "rate_changed", "degraded", "model_changed", "state_lost", "token"]
    """`gave_up`: lost for so long that it is looked for only now and then; `rate_changed`: of `data.wanted_fps` frames
    a second `data.fps` are answered; `degraded`: under overload the network looks at one of `data.cadence` frames at
    least, 1: at every one again; `model_changed`: the session goes on with `data.model`, the targets `data.restarted`
    are started anew and `data.removed` are followed no more; `state_lost`: there was nothing to resume, by
    `data.reason`, and this is a new session; `token`: `data.resume_token` takes the place of the one before"""
    id: NotRequired[str]
    """The target, if it is about one"""
    seq: NotRequired[Seq]
    """The frame in which it was seen"""
    data: dict[str, Any]


@with_config(DESCRIBED)
class Warn(TypedDict):
    """Something that the client should know and may ignore."""

    type: Literal["warning"]
    code: str
    detail: str
    data: dict[str, Any]


@with_config(DESCRIBED)
class CreditChange(TypedDict):
    """How many frames may be under way from now on: numbers in place of those before, not on top of them."""

    type: Literal["credit"]
    frames: Count
    must: Count
    done_seq: NotRequired[Seq]
    """Ordinary frames up to this one get no result any more"""


@with_config(DESCRIBED)
class Error(TypedDict):
    """Something that went wrong."""

    type: Literal["error"]
    code: str
    detail: str
    fatal: bool
    """The socket is closed after this message"""
    seq: NotRequired[Seq]
    """The frame that it is about"""
    pointer: NotRequired[str]
    """JSON pointer to the field that is wrong"""
    stream_url: NotRequired[str]
    """Another server, which has the session, or room for it: connect there at once. Relative to the address of this
    socket, or whole"""
    retry_after_ms: NotRequired[Count]
    """When it may be otherwise"""


@with_config(DESCRIBED)
class GoAway(TypedDict):
    """The socket is about to be closed."""

    type: Literal["goaway"]
    reason: str
    deadline_ms: Milliseconds
    reconnect_after_ms: Annotated[list[int], Field(min_length=2, max_length=2)]
    """Wait a random time between these two before connecting again"""
    resume_token: str | None
    stream_url: NotRequired[str]
    """A server that has room to go on with the session"""


@with_config(DESCRIBED)
class ServerPong(TypedDict):
    """The answer to a ping."""

    type: Literal["pong"]
    n: int
    t_ms: float | None
    """Given back as it came"""
    clock_ms: float
    """The server's monotonic clock"""


SERVER_MESSAGES: dict[str, Any] = {
    "welcome": Welcome,
    "result": Result,
    "ack": Ack,
    "event": Event,
    "credit": CreditChange,
    "warning": Warn,
    "error": Error,
    "goaway": GoAway,
    "pong": ServerPong,
}
"""Every message to the client, by its `type`."""
