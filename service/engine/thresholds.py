"""When a session's targets count as lost, as found again, and as given up."""

from __future__ import annotations

from dataclasses import replace

from models.spec import PresenceSpec
from service.engine.jobs import Followed
from service.protocol.requests import Thresholds

GIVE_UP_S = 60.0
REST_S = 5.0
"""Between two looks for a target that was given up: it costs next to nothing then, and may still come back."""


def applied(model: PresenceSpec, wanted: Thresholds | None) -> PresenceSpec | None:
    """The model's thresholds with those that are wanted in their places, the others moved out of their way; None where
    nothing is wanted."""
    if wanted is None:
        return None
    leave = _first(wanted.leave, min(model.leave, *_named(wanted.enter, wanted.reacquire)))
    enter = _first(wanted.enter, max(leave, min(model.enter, *_named(wanted.reacquire))))
    return replace(
        model,
        lost=min(model.lost, leave),
        leave=leave,
        enter=enter,
        reacquire=_first(wanted.reacquire, max(enter, model.reacquire)),
        lost_after_s=model.lost_after_s if wanted.lost_after_ms is None else wanted.lost_after_ms / 1e3,
    )


def give_up_s(wanted: Thresholds | None) -> float:
    """How long a target is looked for in every frame after it was lost."""
    return GIVE_UP_S if wanted is None or wanted.give_up_ms is None else wanted.give_up_ms / 1e3


def rests(entry: Followed, now_s: float) -> bool:
    """Whether a target that was given up is left alone now; one that the last look was in doubt about is not."""
    if entry.looked_s is None or entry.target is None or now_s - entry.looked_s >= REST_S:
        return False
    presence = entry.target.presence
    return presence.high == 0 and not presence.closer


def _named(*values: float | None) -> tuple[float, ...]:
    return (1.0, *(value for value in values if value is not None))


def _first(wanted: float | None, otherwise: float) -> float:
    return otherwise if wanted is None else wanted
