"""The end of a server without the end of its sessions: clients are asked to leave, and have time to."""

from __future__ import annotations

import structlog

from service.engine.registry import Registry
from service.engine.resume import Resumption
from service.protocol import results

WINDOW_SHARE = 0.4
LONGEST_WINDOW_S = 8.0
"""Clients come to the other servers within that time and not all at once."""

_log = structlog.get_logger("lockon.drain")


class Drain:
    """From the wish to stop until nobody is left, or the time is up. Times in seconds of the monotonic clock."""

    def __init__(self, registry: Registry, resumption: Resumption, limit_s: float) -> None:
        self._registry = registry
        self._resumption = resumption
        self._limit_s = limit_s
        self._ends_s = 0.0

    def begin(self, now_s: float) -> None:
        """No new sockets and sessions from now on; those that are there are told."""
        self._registry.draining = True
        self._ends_s = now_s + self._limit_s
        window_ms = round(min(LONGEST_WINDOW_S, self._limit_s * WINDOW_SHARE) * 1e3)
        for session in self._registry.all():
            token = self._registry.resume_token(session, now_s) if self._resumption.outlives_server(session) else None
            session.answers.say(results.goaway("draining", round(self._limit_s * 1e3), (0, window_ms), token))
        _log.info("draining", kind="draining", sessions=len(self._registry), seconds=self._limit_s)

    def over(self, now_s: float) -> bool:
        """Whether nothing is left to wait for."""
        return now_s >= self._ends_s or all(session.outbox is None for session in self._registry.all())
