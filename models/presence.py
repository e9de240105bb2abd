"""Is the target there? States of a target, moved by the hysteresis of its score."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum, auto

from models.spec import PresenceSpec


class State(StrEnum):
    """What a result says of its target; the names are those of the wire format."""

    INITIALIZING = "initializing"
    TRACKING = "tracking"
    UNCERTAIN = "uncertain"
    LOST = "lost"
    REACQUIRED = "reacquired"


class Motion(Enum):
    """How much of a target's box may follow the newest measurement."""

    FREE = auto()
    POSITION_ONLY = auto()
    FROZEN = auto()


@dataclass(frozen=True, slots=True)
class Presence:
    """State and the lengths of the current runs: `low` frames below `leave`, `high` frames at `reacquire` or more."""

    state: State = State.INITIALIZING
    low: int = 0
    high: int = 0


def advance(presence: Presence, score: float, spec: PresenceSpec) -> Presence:
    """The presence after one more frame with `score` (0..1)."""
    if presence.state is State.LOST:
        high = presence.high + 1 if score >= spec.reacquire else 0
        return Presence(State.REACQUIRED) if high >= spec.reacquire_after else Presence(State.LOST, high=high)
    low = presence.low + 1 if score < spec.leave else 0
    if low >= spec.lost_after:
        return Presence(State.LOST)
    if low > 0:
        return Presence(State.UNCERTAIN, low=low)
    # Between the two thresholds nothing changes: a target that was never sure of, or was doubted, stays doubted.
    doubted = presence.state in (State.INITIALIZING, State.UNCERTAIN)
    return Presence(State.UNCERTAIN if doubted and score < spec.enter else State.TRACKING)


def motion(presence: Presence, score: float, spec: PresenceSpec) -> Motion:
    """What a measurement with `score` may change, where `presence` is already the one after that frame.

    A lost target keeps its box, so that the search stays where the target was seen last; a doubtful one keeps its size,
    because a wrong size spoils every later crop, while a wrong position is mended by the next good frame.
    """
    if presence.state is State.LOST:
        return Motion.FROZEN
    return Motion.POSITION_ONLY if score < spec.leave else Motion.FREE
