"""How many frames a client may have under way: enough to keep the server busy over a slow line, but none that only grow
old on the way, are replaced, or have to be refused."""

from __future__ import annotations

from service.protocol import results
from service.protocol.results import Payload
from service.settings_sections import LimitSettings

START, LEAST, MOST = 4, 2, 8
"""Ordinary frames: one in work and one that waits are the least that keep a worker busy."""
STEP_S = 1.0
LATE_S = 0.1
"""A frame that comes so much later than the best ones did has waited on the way, most of all behind its own kind."""


class Credit:
    """Absolute numbers, told with the welcome and whenever they change.

    `frames` is halved after each second in which frames were replaced or came late, and grows by one after another one.
    `must` is as many must-process frames as certainly have room, going by the largest that came."""

    def __init__(self, limits: LimitSettings) -> None:
        self.frames = START
        self._limits = limits
        self._largest = 0
        self._too_many = False
        self._step_s: float | None = None

    @property
    def must(self) -> int:
        """Must-process frames without an answer."""
        limits = self._limits
        places = limits.must_queue_bytes // (self._largest or limits.max_frame_bytes)
        return max(1, min(limits.must_queue, places))

    def late(self, excess_s: float) -> None:
        """A frame came so much later than the best ones."""
        self._too_many |= excess_s > LATE_S

    def replaced(self) -> None:
        """A frame took the place of one that nobody had taken yet."""
        self._too_many = True

    def arrived(self, size: int, now_s: float, *, must: bool) -> bool:
        """One more frame of so many bytes came; True if the numbers changed by that."""
        if must:
            room, self._largest = self.must, max(self._largest, size)
            return self.must != room
        frames = self.frames
        self._step(now_s)
        return self.frames != frames

    def _step(self, now_s: float) -> None:
        if self._step_s is not None and now_s < self._step_s:
            return
        if self._step_s is not None:
            self.frames = max(LEAST, self.frames // 2) if self._too_many else min(MOST, self.frames + 1)
        self._too_many, self._step_s = False, now_s + STEP_S

    def view(self) -> dict[str, int]:
        """As the welcome shows it."""
        return {"frames": self.frames, "must": self.must}

    def message(self, done_seq: int | None = None) -> Payload:
        """What tells the client; `done_seq`: frames up to this one get no answer any more."""
        return results.credit(self.frames, self.must, done_seq)
