"""What goes to a worker and what comes back: plain data, so that a worker touches no session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from models.geometry import Box
from models.presence import State
from models.spec import PresenceSpec
from models.target import Estimate, Target
from service.protocol.header import Frame


@dataclass(eq=False, slots=True)
class Followed:
    """A target of a session. `target` is the tracker's state: None until it was started, and then in the hands of
    the one worker that has the session's job."""

    id: str
    label: str | None = None
    target: Target | None = None
    state: State = State.INITIALIZING
    lost_since_s: float | None = None
    looked_s: float | None = None
    """when it was looked for last, in seconds of the monotonic clock, once it was given up"""


@dataclass(eq=False, slots=True)
class Start:
    """One target to be started (or corrected) on the frame `seq`, which is None until the next frame comes.

    `pointer` is where the request named the box. `frame` is kept from the moment it is known."""

    followed: Followed
    box: Box
    seq: int | None
    mode: Literal["reinit", "hint"] = "reinit"
    pointer: str = "/box"
    label: str | None = None
    follows_next: bool = False
    updates: bool = False
    frame: Frame | None = None


@dataclass(eq=False, slots=True)
class StartOrder:
    """The starts of one operation, which take effect together or not at all; `op` is None for those of a create."""

    op: str | None
    starts: list[Start]
    replaces_all: bool = False
    deadline_s: float = float("inf")


class Replay(NamedTuple):
    """A start and the retained frames after it, oldest first, through which the target is caught up."""

    start: Start
    later: list[Frame]


class Job(NamedTuple):
    """One session's work: at most one fresh frame for all its targets, and starts before it."""

    session: str
    frame: Frame | None
    followed: tuple[Followed, ...]
    orders: tuple[tuple[StartOrder, tuple[Replay, ...]], ...]
    thresholds: PresenceSpec | None = None
    """those of the session; None: the model's"""
    cadence: int = 1
    """The network looks at one of so many frames at least"""
    replaced: int = 0
    """frames that gave way to newer ones since the session's last job"""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an order had no effect."""

    code: str
    detail: str
    pointer: str = ""


@dataclass(slots=True)
class Timings:
    """Milliseconds of the stages, as in a result; and when some began or ended, in seconds of the monotonic clock."""

    wait: float = 0.0
    decode: float = 0.0
    prep: float = 0.0
    infer: float = 0.0
    post: float = 0.0
    batch: int = 1
    stepped_s: float = 0.0
    """when the batch's crops began to be cut"""
    searched_s: float = 0.0
    """when the network's last run ended"""


@dataclass(slots=True)
class Outcome:
    """What became of a job. `estimates` holds None for a target that was started on this very frame; `split`: it failed
    beside others, and none of them did alone."""

    started: dict[StartOrder, dict[Start, Target] | Failure] = field(default_factory=dict)
    caught_up: dict[StartOrder, int] = field(default_factory=dict)
    estimates: list[tuple[Followed, Target, Estimate | None]] = field(default_factory=list)
    undecodable: str | None = None
    internal: bool = False
    split: bool = False
    timings: Timings = field(default_factory=Timings)
    done_s: float = 0.0
