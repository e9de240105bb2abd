"""Is the target there? States of a target, moved by the hysteresis of its score."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

from models.spec import PresenceSpec

USUAL_FRAME_S = 0.04
"""What a frame lasts whose time nobody knows, in seconds: that of 25 frames a second."""
LONGEST_FRAME_S = 0.2
"""What a frame counts for at most: after a gap in the stream a target is not lost by a single look."""

RECOVERY = 0.5
"""How much of a frame at a good score makes up for one at a low score: what a target's place shows while it is away is
now and then a little like it."""
USUAL_S = 0.2
"""Time constant of a target's usual score. Short, since a score that falls slowly is a target that changes; one that is
gone, or covered, falls at once."""
RETURN_SHARE = 0.7
"""Share of its usual score that a lost target has to reach, within the limits of the model's thresholds."""


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

    `low_s`: how long the score has been below `lost`, in seconds, see RECOVERY; while lost: since when it is. `high`:
    looks in a row at `reacquire` or more that agree with each other. `looks`, `visits`: frames since the one that lost
    the target, and how many other places than the last one have been looked at since or are next. `closer`: the next
    look goes to something that is only a little like the target. `usual`: what the target scored lately, when it did
    not score low.
    """

    state: State = State.INITIALIZING
    low_s: float = 0.0
    high: int = 0
    looks: int = 0
    visits: int = 0
    closer: bool = False
    usual: float = 0.0


def frame_duration(before_s: float | None, now_s: float | None) -> float:
    """What a frame counts for, in seconds, after the one before it; a stream may tell no times, or jump."""
    if before_s is None or now_s is None or now_s <= before_s:
        return USUAL_FRAME_S
    return min(now_s - before_s, LONGEST_FRAME_S)


def reacquire_score(presence: Presence, spec: PresenceSpec, *, at_home: bool = True) -> float:
    """What a lost target has to score: `reacquire`; near its last place, where scores are compared with the target's
    own, a share of that, at least `enter`, will do."""
    if not (spec.fallen and at_home):
        return spec.reacquire
    return min(max(RETURN_SHARE * presence.usual, spec.enter), spec.reacquire)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look at a lost target pointed to. `agrees`: the look before pointed there as well; `at_home`: it lies near
    the target's last place."""

    agrees: bool = True
    at_home: bool = True


SAME_PLACE = Sight()


def advance(
    presence: Presence,
    score: float,
    spec: PresenceSpec,
    duration_s: float = USUAL_FRAME_S,
    sight: Sight = SAME_PLACE,
) -> Presence:
    """The presence after one more frame with `score` (0..1); `sight` counts while the target is lost."""
    if presence.state is State.LOST:
        return _still_lost(presence, score, spec, duration_s, sight)
    usual = score if presence.state is State.INITIALIZING else presence.usual
    if score < max(spec.lost, spec.fallen * usual):
        low_s = presence.low_s + duration_s
        # A sum of durations may miss the threshold by rounding.
        state = State.LOST if low_s >= spec.lost_after_s - 1e-6 else State.UNCERTAIN
        return Presence(state, 0.0 if state is State.LOST else low_s, usual=usual)
    usual += (score - usual) * (1 - math.exp(-duration_s / USUAL_S))
    low_s = max(presence.low_s - duration_s * RECOVERY, 0.0)
    return Presence(_visible(presence, score, spec), low_s, usual=usual)


def _still_lost(presence: Presence, score: float, spec: PresenceSpec, duration_s: float, sight: Sight) -> Presence:
    high = 0
    if score >= reacquire_score(presence, spec, at_home=sight.at_home):
        high = presence.high + 1 if sight.agrees else 1
    if high >= spec.reacquire_after:
        return Presence(State.REACQUIRED, usual=presence.usual)
    lost_s, looks = presence.low_s + duration_s, presence.looks + 1
    return replace(presence, low_s=lost_s, high=high, looks=looks, closer=False)


def advance_long_term(presence: Presence, lost: bool, score: float, spec: PresenceSpec) -> Presence:
    """The presence after one more frame of a long-term tracker, which decides itself what is lost."""
    if lost:
        return Presence(State.LOST, looks=presence.looks + 1)
    if presence.state is State.LOST:
        return Presence(State.REACQUIRED)
    return Presence(_visible(presence, score, spec))


def in_doubt(before: Presence, after: Presence) -> Presence:
    """What `after` may be at best if the frame did not show all that was looked at: uncertain, and still lost."""
    if after.state is State.REACQUIRED:
        return replace(before, high=0, looks=before.looks + 1)
    if after.state is State.LOST:
        return replace(after, high=0)
    return replace(after, state=State.UNCERTAIN)


def _visible(presence: Presence, score: float, spec: PresenceSpec) -> State:
    """Between the two thresholds nothing changes: a target that was never sure of, or was doubted, stays doubted."""
    doubted = presence.state in (State.INITIALIZING, State.UNCERTAIN)
    return State.UNCERTAIN if score < spec.leave or (doubted and score < spec.enter) else State.TRACKING
