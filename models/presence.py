"""Is the target there? States of a target, moved by the hysteresis of its score."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from models.spec import PresenceSpec


class State(StrEnum):
    """What a result says of its target; the names are those of the wire format."""

    INITIALIZING = "initializing"
    TRACKING = "tracking"
    UNCERTAIN = "uncertain"
    LOST = "lost"
    REACQUIRED = "reacquired"


@dataclass(frozen=True, slots=True)
class Presence:
    """State and the lengths of the current runs.

    `low`: frames in a row below `lost` (while lost: all frames since); `high`: frames in a row at `reacquire` or more.
    """

    state: State = State.INITIALIZING
    low: int = 0
    high: int = 0


def advance(presence: Presence, score: float, spec: PresenceSpec) -> Presence:
    """The presence after one more frame with `score` (0..1)."""
    if presence.state is State.LOST:
        high = presence.high + 1 if score >= spec.reacquire else 0
        return (
            Presence(State.REACQUIRED) if high >= spec.reacquire_after else Presence(State.LOST, presence.low + 1, high)
        )
    low = presence.low + 1 if score < spec.lost else 0
    if low >= spec.lost_after:
        return Presence(State.LOST, low)
    return Presence(_visible(presence, score, spec), low)


def advance_long_term(presence: Presence, lost: bool, score: float, spec: PresenceSpec) -> Presence:
    """The presence after one more frame of a long-term tracker, which decides itself what is lost."""
    if lost:
        return Presence(State.LOST, presence.low + 1)
    if presence.state is State.LOST:
        return Presence(State.REACQUIRED)
    return Presence(_visible(presence, score, spec))


def in_doubt(before: Presence, after: Presence) -> Presence:
    """What `after` may be at best if the frame did not show all that was looked at: uncertain, and still lost."""
    if after.state in (State.LOST, State.REACQUIRED):
        return Presence(State.LOST, before.low + 1)
    return Presence(State.UNCERTAIN, after.low)


def _visible(presence: Presence, score: float, spec: PresenceSpec) -> State:
    """Between the two thresholds nothing changes: a target that was never sure of, or was doubted, stays doubted."""
    doubted = presence.state in (State.INITIALIZING, State.UNCERTAIN)
    return State.UNCERTAIN if score < spec.leave or (doubted and score < spec.enter) else State.TRACKING
