"""What the client says, and how many frames may be on their way: the protocol without any socket or clock."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lockon_client.windows import Placement

SUBPROTOCOL = "lockon.v1"
TICKET_PREFIX = "lockon.ticket."
HEADER_BYTES = 32

# magic, version, kind, flags, seq, crop_w, crop_h, ts_us, origin_x, origin_y, full_w, full_h; little-endian
_HEADER = struct.Struct("<4sBBHIHHQHHHH")
_MAGIC = b"LKON"
_KIND_FULL_FRAME = 0
_KIND_WINDOW = 1
_FLAG_MUST_PROCESS = 1 << 0
_FLAG_TS_VALID = 1 << 2
_FLAG_CLIENT_SCALED = 1 << 8

# A target must not have left its window by the time it is looked at.
SENDING_WINDOWS = 2
# An operation may wait on the server for the next frame; results nobody reads must not hold that frame back.
_WINDOW_FOR_OPERATIONS = 2

TargetRequest = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When a target counts as lost and as found again, in place of what the model says; None leaves that to the model.

    `leave`, `enter` and `reacquire` are raw scores, 0 to 1, each at most the next; the server says what it refuses."""

    leave: float | None = None
    enter: float | None = None
    reacquire: float | None = None
    lost_after_ms: float | None = None
    give_up_ms: float | None = None

    def body(self) -> dict[str, float]:
        """As the protocol has them: those that are named."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def encode_frame(
    image: bytes, seq: int, ts_us: int | None, *, must_process: bool, placement: Placement | None = None
) -> bytes:
    """The binary message for one frame, or for the window of it at `placement`: 32-byte header, then the compressed
    image as it is."""
    flags = (_FLAG_TS_VALID if ts_us is not None else 0) | (_FLAG_MUST_PROCESS if must_process else 0)
    if placement is None:
        return _HEADER.pack(_MAGIC, 1, _KIND_FULL_FRAME, flags, seq, 0, 0, ts_us or 0, 0, 0, 0, 0) + image
    x, y, width, height, full_width, full_height, *_ = placement
    flags |= _FLAG_CLIENT_SCALED if placement.scaled else 0
    place = (width, height, ts_us or 0, x, y, full_width, full_height)
    return _HEADER.pack(_MAGIC, 1, _KIND_WINDOW, flags, seq, *place) + image


def target_request(
    box: Sequence[float], target_id: str | None = None, label: str | None = None, on_seq: int | None = None
) -> dict[str, Any]:
    """One target as `hello` and `targets.set` take it; box is x, y, w, h in frame pixels."""
    if len(box) != 4:
        raise ValueError(f"a box is x, y, w, h; got {len(box)} numbers: {tuple(box)!r}")
    numbers = [float(value) for value in box]
    for name, number in zip("xywh", numbers, strict=True):
        if not math.isfinite(number):
            raise ValueError(f"{name} of a box is a finite number; got {number}")
    optional = {"id": target_id, "label": label, "on_seq": on_seq}
    return {"box": numbers} | {key: value for key, value in optional.items() if value is not None}


def hello(version: str, create: Mapping[str, Any] | None = None, resume: Mapping[str, Any] | None = None) -> str:
    """The first message: `create` makes a session, `resume` goes on with one, and both make one if there is none to go
    on with; neither joins the one that the address names."""
    message: dict[str, Any] = {
        "type": "hello",
        "versions": [1],
        "client": {"name": "lockon-client-python", "version": version},
    }
    if create is not None:
        message["create"] = dict(create)
    if resume is not None:
        message["resume"] = dict(resume)
    return _text(message)


def create_request(
    model: str | None,
    targets: Sequence[TargetRequest],
    *,
    every: bool,
    resume_s: int = 0,
    cadence: int | None = None,
    thresholds: Thresholds | None = None,
) -> dict[str, Any]:
    """The body that makes a session, which waits `resume_s` for its client when the line breaks."""
    if not isinstance(thresholds, Thresholds | None):
        raise TypeError(f"thresholds is a lockon_client.Thresholds; got {thresholds!r}")
    wanted = thresholds.body() if thresholds is not None else None
    optional = {"model": model, "cadence": cadence, "thresholds": wanted or None}
    body: dict[str, Any] = {
        "mode": "every" if every else "latest",
        "targets": [dict(target) for target in targets],
        "detached_ttl_s": resume_s,
    }
    return body | {key: value for key, value in optional.items() if value is not None}


def target_operation(kind: str, op: str, target: Mapping[str, Any]) -> str:
    """`target.add`, `target.update` or `target.remove`; `op` comes back in the ack."""
    return _text({"type": kind, "op": op, **target})


def ping(n: int) -> str:
    """Asks for a sign of life."""
    return _text({"type": "ping", "n": n})


def pong(n: int, t_ms: float) -> str:
    """The answer to a ping."""
    return _text({"type": "pong", "n": n, "t_ms": t_ms})


def bye() -> str:
    """The last message: the session is not needed any more."""
    return _text({"type": "bye", "keep": False})


def _text(message: Mapping[str, Any]) -> str:
    return json.dumps(message, allow_nan=False, separators=(",", ":"))


class FrameWindow:
    """Numbers the frames and knows which of them have no answer yet: never more than `size`, the server's credit.

    A place is free again once the result was read, so results waiting for a slow reader are bounded as well. Each
    operation that waits for its answer finds places beyond those taken when it began.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._last = 0
        self._unanswered: list[int] = []
        self._unread = 0
        self._places_for: dict[str, int] = {}

    @property
    def unanswered(self) -> int:
        """How many frames are out without an answer."""
        return len(self._unanswered)

    def has_room(self, given_up: int = 0) -> bool:
        """Whether one more frame may be sent; `given_up` are the unanswered ones that nobody waits for any more."""
        under_way = len(self._unanswered) - given_up
        places = max([self.size, *self._places_for.values()])
        return under_way < self.size and under_way + self._unread < places

    def operation_begins(self, op: str) -> None:
        """Notes that an operation waits, while its caller reads no results."""
        taken = max(self.size, len(self._unanswered) + self._unread)
        self._places_for[op] = taken + _WINDOW_FOR_OPERATIONS

    def operation_ends(self, op: str) -> None:
        """Notes that an operation waits no more."""
        self._places_for.pop(op, None)

    def sent(self) -> int:
        """The number for the frame that is sent now, 1 for the first one."""
        self._last += 1
        self._unanswered.append(self._last)
        return self._last

    def expects(self, seq: int) -> bool:
        """Whether frame `seq` was sent and has no answer yet."""
        return seq in self._unanswered

    def answered(self, seq: int) -> tuple[int, ...]:
        """Takes in the result for `seq`, to be read; returns earlier frames that will never get one.

        Results come in increasing order, so whatever is older than `seq` was left out by the server.
        """
        passed_over = tuple(other for other in self._unanswered if other < seq)
        self._unanswered = [other for other in self._unanswered if other > seq]
        self._unread += 1
        return passed_over

    def done(self, seq: int) -> None:
        """Forgets the frames up to that one, which get no result any more."""
        self._unanswered = [other for other in self._unanswered if other > seq]

    def lost(self) -> None:
        """Forgets all frames without an answer: the line broke, and live frames are not sent twice."""
        self._unanswered.clear()

    def refused(self, seq: int) -> None:
        """Forgets a frame that the server rejected."""
        self._unanswered = [other for other in self._unanswered if other != seq]

    def read(self) -> None:
        """Notes that the caller took one result."""
        self._unread -= 1
