"""What `on_event` is told of the line and the session."""

from __future__ import annotations

from dataclasses import dataclass

from lockon_client.errors import LockonError
from lockon_client.messages import Event


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The line broke, for that reason; it is being opened again."""

    reason: LockonError


@dataclass(frozen=True, slots=True)
class Resumed:
    """The session goes on, on its socket number `epoch`, after so many seconds and attempts."""

    epoch: int
    after_s: float
    attempts: int


@dataclass(frozen=True, slots=True)
class StateLost:
    """No server had the session any more: this is a new one, after so many seconds and attempts. Targets `restarted`
    were started anew from their last boxes, `missing` ones are not followed any more: theirs were too old, or lost."""

    session: str
    restarted: tuple[str, ...]
    missing: tuple[str, ...]
    after_s: float
    attempts: int


LineEvent = Interrupted | Resumed | StateLost | Event
