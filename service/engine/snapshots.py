"""A session as bytes: all that another server needs to go on with it, but for the pictures themselves.

The network's features are left out: they are made anew from the crops of the templates, by whatever runs the model
there.

    magic "LKSN" | version u16 | CRC-32 of the rest u32 | msgpack map

Two releases of the server share a store while one replaces the other. So fields that a reader does not know are
skipped, those that it misses are what they were before they were there, and values that it does not know are left out.
A change that cannot be read like that makes a new version, which only servers of that version read."""

from __future__ import annotations

import dataclasses
import struct
import time
import typing
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, TypeAdapter

from models.presence import State
from models.target import Target
from models.tracker import Tracker
from service.engine.counters import Drop
from service.engine.jobs import Followed
from service.engine.outbox import ResultDraft
from service.engine.session import Session
from service.protocol.header import Reason
from service.protocol.requests import CreateRequest, TargetRequest, Wanted

VERSION = 1
MAX_BYTES = 8 * 1024 * 1024

_HEAD = struct.Struct("<4sHI")
_MAGIC = b"LKSN"
_REQUIRED = {"id", "owner", "model", "request", "epoch", "last_seq", "targets"}
_MADE_ANEW = frozenset({"features", "templates", "crops", "carry", "guesses"})

Record = dict[str, Any]


class SnapshotUnreadable(ValueError):
    """Bytes that are no snapshot of a session, or of one that cannot be followed here."""


class SnapshotOfOtherVersion(SnapshotUnreadable):
    """A snapshot that servers of another version can read."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What a snapshot says of a session before its targets are revived."""

    id: str
    owner: str
    model: str
    request: CreateRequest
    record: Record

    @property
    def restarts(self) -> list[TargetRequest]:
        """Targets that another model was about to start anew."""
        return [TargetRequest.model_validate(item) for item in self.record.get("restarts", [])]


def captured(session: Session, now_s: float) -> Record:
    """The session as it is now, while no worker has its targets. Cheap: what is large is shared, and never changes."""
    counters = session.counters
    return {
        "id": session.id,
        "owner": session.owner,
        "saved_s": time.time(),
        "model": session.model.id,
        "model_digest": session.model.digest,
        "request": session.request.model_dump(mode="json"),
        "want": session.answers.want.model_dump(),
        "epoch": session.epoch,
        "confirmed_epoch": session.confirmed_epoch,
        "last_seq": session.done_seq,
        "received": counters.received - session.waiting,
        "processed": counters.processed,
        "drops": {str(reason): count for reason, count in counters.drops.items()},
        "rejections": {str(reason): count for reason, count in counters.rejections.items()},
        "targets": [_target_record(entry, now_s) for entry in session.followed.values() if entry.target is not None],
        "restarts": session.following.operations.restarts(),
        "results": [_ago(dataclasses.asdict(draft), now_s) for draft in session.answers.kept],
    }


def packed(record: Record) -> bytes:
    """The bytes of a record."""
    body = msgspec.msgpack.encode(record, enc_hook=_packed_array)
    return _HEAD.pack(_MAGIC, VERSION, zlib.crc32(body)) + body


def unpacked(data: bytes) -> Saved:
    """What the bytes say; raises SnapshotUnreadable, or SnapshotOfOtherVersion."""
    if len(data) < _HEAD.size or len(data) > MAX_BYTES:
        raise SnapshotUnreadable(f"{len(data)} bytes are no snapshot")
    magic, version, checksum = _HEAD.unpack_from(data)
    body = memoryview(data)[_HEAD.size :]
    if magic != _MAGIC:
        raise SnapshotUnreadable("this is no snapshot of a session")
    if version != VERSION:
        raise SnapshotOfOtherVersion(f"a snapshot of version {version}; this server reads {VERSION}")
    if zlib.crc32(body) != checksum:
        raise SnapshotUnreadable("the snapshot is damaged: its checksum does not fit")
    try:
        record = msgspec.msgpack.decode(body)
        if missing := _REQUIRED - record.keys():
            raise SnapshotUnreadable(f"the snapshot lacks {', '.join(sorted(missing))}")
        request = CreateRequest.model_validate(_known(CreateRequest, record["request"]))
        return Saved(record["id"], record["owner"], record["model"], request, record)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SnapshotUnreadable(f"the snapshot does not say what it should: {error}") from error


def revived(saved: Saved, tracker: Tracker) -> list[Followed]:
    """The session's targets, with features that this tracker makes; raises SnapshotUnreadable."""
    elapsed_s = max(0.0, time.time() - saved.record.get("saved_s", time.time()))
    try:
        return [_followed(record, tracker, time.perf_counter() - elapsed_s) for record in saved.record["targets"]]
    except (ValueError, LookupError, TypeError) as error:
        raise SnapshotUnreadable(f"a target of the snapshot cannot be revived: {error}") from error


def restore(session: Session, saved: Saved, followed: list[Followed]) -> None:
    """Makes a new session what the saved one was."""
    record, now_s = saved.record, time.perf_counter()
    session.epoch = record["epoch"]
    session.confirmed_epoch = record.get("confirmed_epoch", session.epoch)
    session.begin_after(record["last_seq"])
    session.answers.want = Wanted.model_validate(_known(Wanted, record.get("want", {})))
    counters = session.counters
    counters.received, counters.processed = record.get("received", 0), record.get("processed", 0)
    drops, rejections = record.get("drops", {}).items(), record.get("rejections", {}).items()
    counters.drops.update({Drop(reason): count for reason, count in drops if reason in set(Drop)})
    counters.rejections.update({Reason(reason): count for reason, count in rejections if reason in set(Reason)})
    session.followed.update({entry.id: entry for entry in followed})
    names = {field.name for field in dataclasses.fields(ResultDraft)}
    kept = record.get("results", [])
    drafts = [{name: value for name, value in draft.items() if name in names} for draft in kept]
    session.answers.kept.extend(ResultDraft(**_ago(draft, now_s)) for draft in drafts)


def _target_record(entry: Followed, now_s: float) -> Record:
    target = entry.target
    assert target is not None
    crops = list({id(crop): crop for crop in target.crops}.values())
    order = [next(i for i, crop in enumerate(crops) if crop is each) for each in target.crops]
    kept = [field.name for field in dataclasses.fields(Target) if field.name not in _MADE_ANEW]
    return {
        "id": entry.id,
        "label": entry.label,
        "state": str(entry.state),
        "lost_for_s": None if entry.lost_since_s is None else now_s - entry.lost_since_s,
        "tracker": {name: _plain(getattr(target, name)) for name in kept},
        "crops": crops,
        "order": order,
    }


def _followed(record: Record, tracker: Tracker, saved_s: float) -> Followed:
    hints = typing.get_type_hints(Target)
    state = {name: TypeAdapter(hints[name]).validate_python(value) for name, value in _of_target(record["tracker"])}
    different = [_crop(tracker, crop) for crop in record["crops"]]
    crops = tuple(different[i] for i in record["order"])
    # The package of the model that saved it may have had no second template.
    state["shape"] = state.get("shape") or tracker.shape(state["place"])
    features, templates = tracker.remembered(crops, state["shape"])
    target = Target(**state, features=features, templates=templates, crops=crops)
    lost_for_s = record.get("lost_for_s")
    lost_since_s = None if lost_for_s is None else saved_s - lost_for_s
    # To clients, too, a state that they do not know is an uncertain one.
    presence = State(record["state"]) if record["state"] in set(State) else State.UNCERTAIN
    return Followed(record["id"], record.get("label"), target, presence, lost_since_s)


def _of_target(fields: Record) -> list[tuple[str, Any]]:
    known = {field.name for field in dataclasses.fields(Target)} - _MADE_ANEW
    return [(name, value) for name, value in fields.items() if name in known]


def _crop(tracker: Tracker, record: Record) -> NDArray[Any]:
    crop, size = _array(record), tracker.spec.crop.template_size
    if crop.shape != (size, size, 3):
        raise ValueError(f"the template's crop is {crop.shape}; this model's are {(size, size, 3)}")
    return crop


def _ago(draft: Record, now_s: float) -> Record:
    """A result's times as how long ago they were, and back: clocks differ between servers."""
    return draft | {name: now_s - draft[name] for name in ("received_s", "done_s")}


def _plain(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def _packed_array(value: Any) -> Record:
    if not isinstance(value, np.ndarray):
        raise TypeError(f"a snapshot holds no {type(value).__name__}")
    return {"shape": list(value.shape), "dtype": value.dtype.str, "data": value.tobytes()}


def _array(record: Record) -> NDArray[Any]:
    kind = {"|u1": np.uint8, "<f4": np.float32}[record["dtype"]]
    return np.frombuffer(record["data"], kind).reshape(record["shape"]).copy()


def _known(model: type[BaseModel], data: Mapping[str, Any]) -> Record:
    """Those fields that the model has, in it and in the models inside it."""
    known: Record = {}
    for name, field in model.model_fields.items():
        if name in data:
            inner = field.annotation
            nested = isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(data[name], Mapping)
            known[name] = _known(typing.cast("type[BaseModel]", inner), data[name]) if nested else data[name]
    return known
