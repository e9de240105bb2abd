"""Text messages from the client: what may be said on a socket, and how it is read."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.protocol.field_errors import field_errors
from service.protocol.requests import (
    MAX_SEQ,
    BoxNumbers,
    CreateRequest,
    Label,
    OnSeq,
    PatchRequest,
    Strict,
    TargetId,
    TargetRequest,
    Targets,
    Wanted,
)
from service.protocol.strict_json import JsonRefused, parsed

OpId = Annotated[
    str, Field(min_length=1, max_length=64, description="Your name for the operation, unique in the session")
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


class ClientInfo(Strict):
    """Who speaks: for logs only."""

    name: Annotated[str, Field(max_length=64)] = ""
    version: Annotated[str, Field(max_length=64)] = ""


class ResumeRequest(Strict):
    """Go on with a session: its newest token, and the number of the last result that came."""

    token: Annotated[str, Field(max_length=512)]
    last_seq: Annotated[int, Field(ge=0, le=MAX_SEQ)] | None = None
    epoch: Annotated[int, Field(ge=1)] | None = None


class Hello(Strict):
    """The first message; `create` belongs to /v1/stream alone. Every field may be left out."""

    type: Literal["hello"]
    versions: list[int] = Field(default=[1], min_length=1, max_length=16)
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


class TargetUpdate(Strict):
    """Corrects a target: `reinit` takes a new template, `hint` keeps the template and moves the box only."""

    type: Literal["target.update"]
    op: OpId
    id: TargetId
    box: BoxNumbers
    on_seq: OnSeq = "next"
    mode: Literal["reinit", "hint"] = "reinit"
    label: Label | None = None


class TargetRemove(Strict):
    """Stops following a target."""

    type: Literal["target.remove"]
    op: OpId
    id: TargetId


class TargetsSet(Strict):
    """Replaces all targets."""

    type: Literal["targets.set"]
    op: OpId
    targets: Targets


class SessionUpdate(PatchRequest):
    """Changes the session's settings; as PATCH /v1/sessions/{id}."""

    model_config = ConfigDict(json_schema_extra={})

    type: Literal["session.update"]
    op: OpId


class Ping(Strict):
    """Asks for a pong."""

    type: Literal["ping"]
    n: int = 0
    t_ms: float | None = None


class Pong(Strict):
    """Answer to a ping of the server's; needs no reply."""

    type: Literal["pong"]
    n: int = 0
    t_ms: float | None = None
    clock_ms: float | None = None


class Bye(Strict):
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


def _invalid(error: ValidationError, data: dict[str, Any]) -> MessageInvalid:
    first = field_errors(error)[0]
    op = data.get("op")
    known_op = op if isinstance(op, str) and 0 < len(op) <= 64 else None
    detail = f"{first['pointer'] or data['type']}: {first['detail']}"
    return MessageInvalid(first["code"], detail, first["pointer"], known_op)
