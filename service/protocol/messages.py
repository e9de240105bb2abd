"""Text messages from the client, and the bodies of requests: what is taken, exactly.

Unknown fields are refused, so that a typo cannot pass silently; names that start with `x_` are the client's own and
ignored. Numbers are numbers: no strings, no NaN."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from service.protocol.strict_json import JsonRefused, parsed

ID_PATTERN = r"^[A-Za-z0-9_.:-]{1,64}$"
MAX_SEQ = 2**32 - 1

TargetId = Annotated[str, Field(pattern=ID_PATTERN, examples=["cup"])]
OpId = Annotated[
    str, Field(min_length=1, max_length=64, description="Your name for the operation, unique in the session")
]
BoxNumbers = Annotated[
    list[float],
    Field(min_length=4, max_length=4, examples=[[410, 220, 64, 60]], description="x, y, w, h in frame pixels"),
]
OnSeq = Annotated[
    Annotated[int, Field(ge=0, le=MAX_SEQ)] | Literal["next"],
    Field(description="The frame in which the box was seen"),
]
Label = Annotated[str, Field(max_length=128)]
Mode = Literal["latest", "every"]
MaxFps = Annotated[
    float, Field(ge=0.2, le=120, description="Frames a second that are followed at most; null: as many as possible")
]
Cadence = Annotated[
    int,
    Field(ge=1, le=8, description="The network looks at one of so many frames at least; null: at every one"),
]
Score = Annotated[float, Field(ge=0, le=1)]
DeadlineMs = Annotated[
    float, Field(ge=20, le=10000, description="Ordinary frames that have waited longer are dropped; null: none are")
]


class MessageInvalid(ValueError):
    """A text message that breaks the rules. `code` as in `error` and `ack`; `pointer` is a JSON pointer to the field;
    `op` is the operation it belongs to, where that could be read."""

    def __init__(self, code: str, detail: str, pointer: str = "", op: str | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.pointer = pointer
        self.op = op


class UnknownType(ValueError):
    """A text message of a type that this version does not know: a warning, not an error."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_private_names(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if not name.startswith("x_")}
        return data


class TargetRequest(_Strict):
    """A target to follow: its box in the frame `on_seq` (by default the next one that arrives)."""

    id: TargetId | None = None
    box: BoxNumbers
    label: Label | None = None
    on_seq: OnSeq = "next"


class Wanted(_Strict):
    """Optional parts of results."""

    timings: bool = True
    window: bool = True


class Thresholds(_Strict):
    """When a target counts as lost and as found again, in place of what its model says; scores are 0 to 1.

    A threshold that is left out is the model's, moved as far as `leave` <= `enter` <= `reacquire` asks for."""

    leave: Score | None = None
    enter: Score | None = None
    reacquire: Score | None = None
    lost_after_ms: Annotated[float, Field(ge=40, le=60_000)] | None = None
    give_up_ms: Annotated[float, Field(ge=1000, le=86_400_000)] | None = None

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        named = [value for value in (self.leave, self.enter, self.reacquire) if value is not None]
        if named != sorted(named):
            raise ValueError(f"leave <= enter <= reacquire must hold, not {' <= '.join(f'{v:g}' for v in named)}")
        return self


class CreateRequest(_Strict):
    """What a new session shall be: body of POST /v1/sessions, and `create` of a hello."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{}, {"targets": [{"id": "cup", "box": [410, 220, 64, 60]}], "label": "door"}]}
    )

    model: Annotated[str, Field(max_length=100)] | None = None
    mode: Mode = "latest"
    targets: list[TargetRequest] = []
    result: Wanted = Wanted()
    max_fps: MaxFps | None = None
    deadline_ms: DeadlineMs | None = 500
    thresholds: Thresholds | None = None
    cadence: Cadence | None = None
    detached_ttl_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    label: Label | None = None
    metadata: Annotated[dict[str, Any], Field(max_length=16)] | None = None

    @field_validator("targets")
    @classmethod
    def _ids_differ(cls, targets: list[TargetRequest]) -> list[TargetRequest]:
        ids = [target.id for target in targets if target.id is not None]
        if len(set(ids)) < len(ids):
            raise ValueError("two targets have the same id")
        return targets


class PatchRequest(_Strict):
    """What to change of a session: body of PATCH /v1/sessions/{id}, a JSON merge patch (RFC 7396)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"label": "door", "metadata": {"camera": None}}]})

    model: Annotated[str, Field(max_length=100, description="Null: the server's default")] | None = None
    reinit: Annotated[
        bool, Field(description="Goes with another `model`, which starts every target anew from its last box")
    ] = False
    mode: Mode = "latest"
    result: Wanted = Wanted()
    max_fps: MaxFps | None = None
    deadline_ms: DeadlineMs | None = None
    thresholds: Thresholds | None = None
    cadence: Cadence | None = None
    detached_ttl_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    label: Label | None = None
    metadata: Annotated[dict[str, Any], Field(max_length=16)] | None = None

    @property
    def named(self) -> dict[str, Any]:
        """The settings that the patch names; the others stay as they are."""
        names = self.model_fields_set & PatchRequest.model_fields.keys() - {"reinit"}
        return {name: getattr(self, name) for name in PatchRequest.model_fields if name in names}


class LoadRequest(_Strict):
    """Which model to load: body of POST /v1/models."""

    id: Annotated[str, Field(min_length=1, max_length=100)]
    default: bool = False


class SessionTicketRequest(_Strict):
    """A ticket for a session: body of POST /v1/sessions/{id}/tickets. `origin` is the one page that may use it."""

    origin: Annotated[str, Field(pattern=r"^https?://[^/\s]{1,253}$")] | None = None


class TicketRequest(SessionTicketRequest):
    """A ticket for /v1/stream: body of POST /v1/tickets. What `create` says cannot be said otherwise by the hello."""

    max_sessions: Literal[1] = 1
    create: CreateRequest | None = None


class ClientInfo(_Strict):
    """Who speaks: for logs only."""

    name: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[str, Field(max_length=64)] = ""


class ResumeRequest(_Strict):
    """Go on with a session: its newest token, and the number of the last result that came."""

    token: Annotated[str, Field(max_length=512)]
    last_seq: Annotated[int, Field(ge=0, le=MAX_SEQ)] | None = None
    epoch: Annotated[int, Field(ge=1)] | None = None


class Hello(_Strict):
    """The first message; `create` belongs to /v1/stream alone. Every field may be left out."""

    type: Literal["hello"]
    versions: Annotated[list[int], Field(min_length=1, max_length=16)] = [1]
    client: ClientInfo = ClientInfo()
    create: CreateRequest | None = None
    resume: ResumeRequest | None = None
    takeover: bool = False
    clock_ms: float | None = None
    want: Wanted | None = None
    trace: Annotated[str, Field(max_length=256)] | None = None

    @model_validator(mode="after")
    def _common_version(self) -> Self:
        if 1 not in self.versions:
            raise ValueError("no common version: this server speaks 1")
        return self


class TargetAdd(TargetRequest):
    """Starts to follow one more target."""

    type: Literal["target.add"]
    op: OpId


class TargetUpdate(_Strict):
    """Corrects a target: `reinit` takes a new template, `hint` keeps the template and moves the box only."""

    type: Literal["target.update"]
    op: OpId
    id: TargetId
    box: BoxNumbers
    on_seq: OnSeq = "next"
    mode: Literal["reinit", "hint"] = "reinit"
    label: Label | None = None


class TargetRemove(_Strict):
    """Stops following a target."""

    type: Literal["target.remove"]
    op: OpId
    id: TargetId


class TargetsSet(_Strict):
    """Replaces all targets."""

    type: Literal["targets.set"]
    op: OpId
    targets: list[TargetRequest]

    _ids_differ = field_validator("targets")(CreateRequest._ids_differ.__func__)  # type: ignore[attr-defined]


class SessionUpdate(PatchRequest):
    """Changes the session's settings; as PATCH /v1/sessions/{id}."""

    model_config = ConfigDict(json_schema_extra={})

    type: Literal["session.update"]
    op: OpId


class Ping(_Strict):
    """Asks for a pong."""

    type: Literal["ping"]
    n: int = 0
    t_ms: float | None = None


class Pong(_Strict):
    """Answer to a ping of the server's; needs no reply."""

    type: Literal["pong"]
    n: int = 0
    t_ms: float | None = None
    clock_ms: float | None = None


class Bye(_Strict):
    """The client is done; with `keep` the session waits for a reconnect."""

    type: Literal["bye"]
    keep: bool = False


Operation = TargetAdd | TargetUpdate | TargetRemove | TargetsSet | SessionUpdate
Message = Hello | Operation | Ping | Pong | Bye

CLIENT_MESSAGES: dict[str, type[BaseModel]] = {
    "hello": Hello,
    "target.add": TargetAdd,
    "target.update": TargetUpdate,
    "target.remove": TargetRemove,
    "targets.set": TargetsSet,
    "session.update": SessionUpdate,
    "ping": Ping,
    "pong": Pong,
    "bye": Bye,
}
"""Every text message from the client, by its `type`."""


def read_message(text: str) -> Message:
    """The message in a text; raises MessageInvalid or UnknownType."""
    try:
        data = parsed(text)
    except JsonRefused as error:
        raise MessageInvalid("malformed_message", str(error)) from error
    if not isinstance(data, dict) or not isinstance(data.get("type"), str):
        raise MessageInvalid("malformed_message", "a message is a JSON object with a type", "/type")
    kind = CLIENT_MESSAGES.get(data["type"])
    if kind is None:
        raise UnknownType(f"unknown message type {data['type']!r:.80}")
    try:
        return cast("Message", kind.model_validate(data))
    except ValidationError as error:
        raise _invalid(error, data) from error


def field_errors(error: ValidationError) -> list[dict[str, str]]:
    """One `{pointer, code, detail}` for each field that is wrong."""
    return [
        {"pointer": _pointer(item["loc"]), "code": _code(item["type"], item["loc"]), "detail": item["msg"]}
        for item in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _invalid(error: ValidationError, data: dict[str, Any]) -> MessageInvalid:
    first = field_errors(error)[0]
    op = data.get("op")
    known_op = op if isinstance(op, str) and 0 < len(op) <= 64 else None
    detail = f"{first['pointer'] or data['type']}: {first['detail']}"
    return MessageInvalid(first["code"], detail, first["pointer"], known_op)


_BRANCHES = frozenset({"constrained-int", "int", "literal['next']"})


def _pointer(location: tuple[int | str, ...]) -> str:
    # Parts that name a branch of a union are pydantic's, not the document's.
    parts = [str(part) for part in location if not (isinstance(part, str) and part in _BRANCHES)]
    return "".join("/" + part.replace("~", "~0").replace("/", "~1") for part in parts)


def _code(kind: str, location: tuple[int | str, ...]) -> str:
    if kind == "extra_forbidden":
        return "unknown_field"
    return "bad_box" if "box" in location else "not_allowed"
