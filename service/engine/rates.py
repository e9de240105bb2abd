"""How many of a session's frames are answered, for its client to hear of: who knows may send fewer, and save work."""

from __future__ import annotations

from typing import NamedTuple

PERIOD_S = 2.0
"""Rates are compared over so long, so there is at most one change in that time."""
SHORT, FULL = 0.9, 0.97
"""Of the frames that are wanted: below the one a rate is reduced, from the other on it is whole again."""
STEP = 0.25
"""A reduced rate is told again when it has changed by this share."""


class RateChange(NamedTuple):
    """Frames per second, over the last PERIOD_S."""

    wanted: float
    """What came, and may come by the session's `max_fps`"""
    answered: float


class AnsweredRate:
    """Watches one session; times in seconds of one clock."""

    __slots__ = ("_began_s", "_processed", "_replaced", "_told")

    def __init__(self) -> None:
        self._began_s: float | None = None
        self._processed = self._replaced = 0
        self._told: float | None = None
        """the reduced rate that the client knows of; None: it knows of none"""

    def changed(self, now_s: float, processed: int, replaced: int, max_fps: float | None) -> RateChange | None:
        """With every frame: how many were answered so far, and how many gave way to newer ones. What the client should
        hear, if there is anything."""
        if self._began_s is None:
            self._start(now_s, processed, replaced)
            return None
        passed_s = now_s - self._began_s
        if passed_s < PERIOD_S:
            return None
        answered = (processed - self._processed) / passed_s
        came = answered + (replaced - self._replaced) / passed_s
        wanted = came if max_fps is None else min(came, max_fps)
        self._start(now_s, processed, replaced)
        if passed_s > 2 * PERIOD_S or not self._is_news(wanted, answered):
            return None  # a pause of the client's says nothing of the server
        self._told = answered if answered < SHORT * wanted else None
        return RateChange(round(wanted, 2), round(answered, 2))

    def _is_news(self, wanted: float, answered: float) -> bool:
        if self._told is None:
            return answered < SHORT * wanted
        return answered >= FULL * wanted or abs(answered - self._told) > STEP * self._told

    def _start(self, now_s: float, processed: int, replaced: int) -> None:
        self._began_s, self._processed, self._replaced = now_s, processed, replaced
