"""The end of a server without the end of its sessions: clients are asked to leave, and have time to."""

from __future__ import annotations

from collections import deque

import structlog

from service.engine.fleet import STREAM_PATH, Fleet
from service.engine.registry import Registry
from service.engine.resume import Resumption
from service.engine.session import Session
from service.protocol import results

NOTICED_SHARE = 0.1
LONGEST_NOTICED_S = 2.0
"""Before the first client is asked to leave, whoever leads them to servers has to see that this one is not ready."""
WINDOW_SHARE = 0.4
LONGEST_WINDOW_S = 8.0
"""Clients come to the other servers within that time and not all at once."""
LEAVE_MS = (0, 100)
"""A client that was asked may go; those who are asked next are others."""

_log = structlog.get_logger("lockon.drain")


class Drain:
    """From the wish to stop until nobody is left, or the time is up. Times in seconds of the monotonic clock."""

    def __init__(self, registry: Registry, resumption: Resumption, fleet: Fleet, limit_s: float) -> None:
        self._registry = registry
        self._resumption = resumption
        self._fleet = fleet
        self._limit_s = limit_s
        self._ends_s = 0.0
        self._asked: deque[tuple[float, Session]] = deque()

    def begin(self, now_s: float) -> None:
        """No new sockets and sessions from now on. Those that can go on elsewhere will be asked to leave, one after
        another; the others are told at once."""
        self._registry.draining = True
        self._fleet.hurry()
        self._ends_s = now_s + self._limit_s
        first_s = now_s + min(LONGEST_NOTICED_S, self._limit_s * NOTICED_SHARE)
        window_s = min(LONGEST_WINDOW_S, self._limit_s * WINDOW_SHARE)
        attached = [session for session in self._registry.all() if session.outbox is not None]
        leaving = [session for session in attached if self._resumption.outlives_server(session)]
        for session in attached:
            if session not in leaving:  # it ends here, and has until then
                self._ask(session, now_s)
        gap_s = window_s / max(1, len(leaving))
        self._asked.extend((first_s + i * gap_s, session) for i, session in enumerate(leaving))
        _log.info("draining", kind="draining", sessions=len(self._registry), seconds=self._limit_s)

    def go_on(self, now_s: float) -> bool:
        """Asks those whose turn it is; True if nothing is left to wait for."""
        while self._asked and self._asked[0][0] <= now_s:
            self._ask(self._asked.popleft()[1], now_s)
        return now_s >= self._ends_s or all(session.outbox is None for session in self._registry.all())

    def _ask(self, session: Session, now_s: float) -> None:
        token = stream_url = None
        if self._resumption.outlives_server(session):
            token, roomier = self._registry.resume_token(session, now_s), self._fleet.roomier()
            stream_url = roomier[1] + STREAM_PATH if roomier is not None else None
        deadline_ms = round((self._ends_s - now_s) * 1e3)
        session.answers.say(results.goaway("draining", deadline_ms, LEAVE_MS, token, stream_url))
