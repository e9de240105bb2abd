"""What is asked for, in bodies of requests and in messages alike: what is taken, exactly.

Unknown fields are refused, so that a typo cannot pass silently; names that start with `x_` are the client's own and
ignored. Numbers are numbers: no strings, no NaN."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

ID_PATTERN = r"^[A-Za-z0-9_.:-]{1,64}$"
MAX_SEQ = 2**32 - 1
MAX_METADATA_KEYS = 16
MAX_METADATA_BYTES = 4096

TargetId = Annotated[str, Field(pattern=ID_PATTERN, examples=["cup"])]
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


def check_metadata(metadata: dict[str, Any]) -> dict[str, Any]:
    """The metadata as they are; raises ValueError if they are more than a session may carry."""
    if len(metadata) > MAX_METADATA_KEYS:
        raise ValueError(f"metadata would have {len(metadata)} keys; the limit is {MAX_METADATA_KEYS}")
    if (size := len(orjson.dumps(metadata))) > MAX_METADATA_BYTES:
        raise ValueError(f"metadata would take {size} bytes as JSON; the limit is {MAX_METADATA_BYTES}")
    return metadata


Metadata = Annotated[
    dict[str, Any],
    Field(max_length=MAX_METADATA_KEYS, description=f"Yours to use; at most {MAX_METADATA_BYTES} bytes as JSON"),
    AfterValidator(check_metadata),
]


class Strict(BaseModel):
    """What takes no more and no other than it names."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_private_names(cls, data: Any) -> Any:
        if isinstance(data, dict):
            return {name: value for name, value in data.items() if not name.startswith("x_")}
        return data


class TargetRequest(Strict):
    """A target to follow: its box in the frame `on_seq` (by default the next one that arrives)."""

    id: TargetId | None = None
    box: BoxNumbers
    label: Label | None = None
    on_seq: OnSeq = "next"


def _ids_differ(targets: list[TargetRequest]) -> list[TargetRequest]:
    ids = [target.id for target in targets if target.id is not None]
    if len(set(ids)) < len(ids):
        raise ValueError("two targets have the same id")
    return targets


Targets = Annotated[list[TargetRequest], AfterValidator(_ids_differ)]


class Wanted(Strict):
    """Optional parts of results."""

    timings: bool = True
    window: bool = True


class Thresholds(Strict):
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


class CreateRequest(Strict):
    """What a new session shall be: body of POST /v1/sessions, and `create` of a hello."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{}, {"targets": [{"id": "cup", "box": [410, 220, 64, 60]}], "label": "door"}]}
    )

    model: Annotated[str, Field(max_length=100)] | None = None
    mode: Mode = "latest"
    targets: Targets = []
    result: Wanted = Wanted()
    max_fps: MaxFps | None = None
    deadline_ms: DeadlineMs | None = 500
    thresholds: Thresholds | None = None
    cadence: Cadence | None = None
    detached_ttl_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    label: Label | None = None
    metadata: Metadata | None = None


class PatchRequest(Strict):
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
    metadata: Metadata | None = None

    @property
    def named(self) -> dict[str, Any]:
        """The settings that the patch names; the others stay as they are."""
        names = self.model_fields_set & PatchRequest.model_fields.keys() - {"reinit"}
        return {name: getattr(self, name) for name in PatchRequest.model_fields if name in names}


class LoadRequest(Strict):
    """Which model to load: body of POST /v1/models."""

    id: Annotated[str, Field(min_length=1, max_length=100)]
    default: bool = False


class SessionTicketRequest(Strict):
    """A ticket for a session: body of POST /v1/sessions/{id}/tickets. `origin` is the one page that may use it."""

    origin: Annotated[str, Field(pattern=r"^https?://[^/\s]{1,253}$")] | None = None


class TicketRequest(SessionTicketRequest):
    """A ticket for /v1/stream: body of POST /v1/tickets. What `create` says cannot be said otherwise by the hello."""

    max_sessions: Literal[1] = 1
    create: CreateRequest | None = None
