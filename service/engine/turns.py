"""Whose turn it is: the least recently served session, unless a newer frame of it is just about to come. A frame that
waits for the whole of its frame interval before it is followed makes the oldest answer of all, and a moment later the
session has a fresh one."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict

from service.engine.models import Model
from service.engine.session import Session

STALE, LATE = 0.5, 1.5
"""Shares of the frame interval: a frame of an age between them makes way, since a newer one is about to come. One that
is older than that is served: its client waits for the answer, or sends no more."""
PATIENCE = 2
"""So many frame intervals a session is passed over at most; else one whose frames come in step with the batches would
never be served."""
CHOICE = 16
"""So many sessions are looked at, at most, for one with a frame that is not stale."""


class Turns:
    """Sessions that have work, by model. They are counted by targets, the searches that their next frames take."""

    def __init__(self) -> None:
        self._ready: defaultdict[Model, list[tuple[int, int, Session]]] = defaultdict(list)
        self._queued: set[str] = set()
        self._served: dict[str, int] = {}
        self._passed: dict[str, float] = {}  # since when the session is passed over
        self._numbers = itertools.count()

    def __len__(self) -> int:
        """Sessions that wait."""
        return len(self._queued)

    def add(self, session: Session) -> None:
        """The session has work; once is enough."""
        if session.id not in self._queued:
            self._queued.add(session.id)
            entry = (self._served.get(session.id, -1), next(self._numbers), session)
            heapq.heappush(self._ready[session.model], entry)

    def served(self, session: Session) -> None:
        """It got its turn, and is the last one from now on."""
        self._served[session.id] = next(self._numbers)

    def forget(self, session: Session) -> None:
        """The session is closed; if it still waits, its turn comes and nothing is found to do."""
        self._served.pop(session.id, None)
        self._passed.pop(session.id, None)

    def next_model(self) -> Model:
        """The one whose first session was served least recently; there must be sessions."""
        if len(self._ready) == 1:
            return next(iter(self._ready))
        return min(self._ready, key=lambda model: self._ready[model][0][0])

    def take(self, model: Model, room: int | None, now_s: float) -> Session | None:
        """Takes out the session of that model that is next; None if there is none, or if the first one has more than
        `room` targets (None: any number will do)."""
        if model not in self._ready:
            return None
        ready = self._ready[model]
        if room is not None and targets(ready[0][2]) > room:
            return None
        chosen = self._chosen(ready, room, now_s)
        if not ready:
            del self._ready[model]
        self._queued.discard(chosen.id)
        self._passed.pop(chosen.id, None)
        return chosen

    def _chosen(self, ready: list[tuple[int, int, Session]], room: int | None, now_s: float) -> Session:
        """The first one whose frame is not stale; of none but stale ones that with the newest frame."""
        seen, best = [heapq.heappop(ready)], 0
        while self._makes_way(seen[best][2], now_s) and ready and len(seen) < CHOICE:
            seen.append(heapq.heappop(ready))
            session = seen[-1][2]
            if room is not None and targets(session) > room:
                continue
            if not self._makes_way(session, now_s) or _newest(session) > _newest(seen[best][2]):
                best = len(seen) - 1
        for entry in seen[:best]:
            self._passed.setdefault(entry[2].id, now_s)
        for entry in seen[:best] + seen[best + 1 :]:
            heapq.heappush(ready, entry)
        return seen[best][2]

    def _makes_way(self, session: Session, now_s: float) -> bool:
        """Whether the frame that is next is about to be replaced."""
        newest_s, interval_s = session.newest_s, session.interval_s
        if newest_s is None or interval_s is None:
            return False
        if now_s - self._passed.get(session.id, now_s) > PATIENCE * interval_s:
            return False
        return STALE * interval_s < now_s - newest_s < LATE * interval_s


def _newest(session: Session) -> float:
    return session.newest_s or 0.0


def targets(session: Session) -> int:
    """Searches that its next frame takes, about; starting a target takes one as well."""
    return max(1, len(session.followed))
