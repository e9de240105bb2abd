"""Whether there is room for one more session: measured costs of frames against what the workers can do."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from statistics import median

UTILISATION = 0.75
"""Share of the workers' time that can be promised: above it waiting grows faster than work."""
HEADROOM = 0.85
"""Share of that which new sessions may fill; the rest is for those that are there."""
REMEMBERED = 64
LEAST_FRAMES = 8
RETRY_AFTER_S = (5, 30)
"""When to ask again for what others have: about when a session may have ended, and not all at once."""


class NoRoom(RuntimeError):
    """A session cannot be had now; `retry_after_s` is when to ask again."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.retry_after_s = random.randint(*RETRY_AFTER_S)


class Draining(NoRoom):
    """The server stops, and takes nothing new."""


class ServerFull(NoRoom):
    """There are as many sessions as are allowed, or as the machine can carry."""


class QuotaUsed(NoRoom):
    """The caller has as many sessions as its quota allows, which is `limit`."""

    def __init__(self, detail: str, limit: int) -> None:
        super().__init__(detail)
        self.limit = limit


class Costs:
    """What the last frames of a session or of a model took of a worker, in seconds each."""

    def __init__(self) -> None:
        self._last: list[float] = []

    def add(self, seconds: float) -> None:
        """One more frame."""
        self._last.append(seconds)
        if len(self._last) > REMEMBERED:
            del self._last[0]

    @property
    def typical_s(self) -> float | None:
        """The median, which one hiccup does not move; None until there are a few frames."""
        return median(self._last) if len(self._last) >= LEAST_FRAMES else None


def room(costs_s: Iterable[float], new_s: float, *, workers: int, min_fps: float) -> int | None:
    """How many more sessions can join whose frames cost `new_s`, so that all can still have `min_fps` frames a second;
    None: as many as you like.

    `costs_s` are the costs of a frame for the sessions that exist. A server without any always has room for one."""
    present = list(costs_s)
    spare_s = workers * UTILISATION * HEADROOM - sum(present) * min_fps
    if spare_s < 0:
        return 0
    if new_s * min_fps == 0:
        return None
    return max(math.floor(spare_s / (new_s * min_fps)), 0 if present else 1)
