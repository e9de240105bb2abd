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
    DEADLINE = "deadline"
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

    def spaced(self, camera_s: float | None, server_s: float) -> None:
        """A good frame came so long after the one before it, and was taken so long after it if both say when."""

    def delayed(self, seconds: float) -> None:
        """A frame came so much later than the best of the last minutes."""

    def processed(self, age_s: float) -> None:
        """A frame was answered, so long after it came."""

    def dropped(self, reason: Drop, count: int) -> None:
        """Good frames that are not processed."""

    def rejected(self, reason: Reason) -> None:
        """A frame that could not be used."""

    def moved(self, before: str, after: str) -> None:
        """A target changed its state."""

    def found(self, lost_s: float) -> None:
        """A target was found again, after so long."""

    def shared(self, ratio: float) -> None:
        """A session got that share, 0..1, of the frames that it sent or was promised."""

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
    _last: tuple[int | None, float] | None = None

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

    def space(self, ts_us: int | None, now_s: float) -> None:
        """One more good frame, taken at `ts_us` by its client's clock."""
        if self._last is not None:
            last_us, last_s = self._last
            camera_s = None if ts_us is None or last_us is None else (ts_us - last_us) / 1e6
            # A clock that was set back says nothing.
            self.tally.spaced(camera_s if camera_s is not None and camera_s >= 0 else None, now_s - last_s)
        self._last = (ts_us, now_s)

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
