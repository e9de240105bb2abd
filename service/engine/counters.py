"""Counters of one session. What always holds: received = processed + dropped + rejected + waiting."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from service.protocol.header import Reason


class Drop(StrEnum):
    """Why a good frame was not processed; closed list, also the label of the metric."""

    NEWER = "newer"
    CAPACITY = "capacity"
    QUOTA = "quota"
    NO_TARGET = "no_target"
    DETACHED = "detached"
    SHUTDOWN = "shutdown"
    INTERNAL = "internal"


class Tally(Protocol):
    """Where sessions report each frame's fate as well, for all sessions of one model (the metrics implement it)."""

    def received(self, *, window: bool) -> None:
        """A binary message came, of a full frame or of a window."""

    def processed(self, age_s: float) -> None:
        """A frame was answered, so long after it came."""

    def dropped(self, reason: Drop, count: int) -> None:
        """Good frames that are not processed."""

    def rejected(self, reason: Reason) -> None:
        """A frame that could not be used."""

    def moved(self, before: str, after: str) -> None:
        """A target changed its state."""

    def ran(self, targets: int) -> None:
        """The network was run for so many targets at once."""


@dataclass(slots=True)
class Counters:
    """Fates of a session's frames."""

    tally: Tally
    received: int = 0
    processed: int = 0
    drops: Counter[Drop] = field(default_factory=Counter)
    rejections: Counter[Reason] = field(default_factory=Counter)

    @property
    def dropped(self) -> int:
        """Good frames that were not processed."""
        return self.drops.total()

    @property
    def rejected(self) -> int:
        """Frames that could not be used."""
        return self.rejections.total()

    def receive(self, *, window: bool = False) -> None:
        """One more binary message."""
        self.received += 1
        self.tally.received(window=window)

    def process(self, age_s: float) -> None:
        """One more frame answered."""
        self.processed += 1
        self.tally.processed(age_s)

    def drop(self, reason: Drop, count: int = 1) -> None:
        """Good frames that are not processed."""
        if count:
            self.drops[reason] += count
            self.tally.dropped(reason, count)

    def reject(self, reason: Reason) -> None:
        """One more unusable frame."""
        self.rejections[reason] += 1
        self.tally.rejected(reason)

    def view(self) -> dict[str, int]:
        """The counters as the session view and the logs show them."""
        reasons = {f"dropped_{reason}": count for reason, count in sorted(self.drops.items())}
        always = {"received": self.received, "processed": self.processed, "dropped": self.dropped}
        return always | {"dropped_newer": 0} | reasons | {"rejected": self.rejected}
