"""Keeps the sessions at a store: saves them, holds their leases, and takes over those that other servers let go.

The store is never waited for on a frame's way. While it is away sessions go on, and so does the asking for it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import TypeVar

import structlog

from service.engine.registry import Registry
from service.engine.session import Session
from service.engine.snapshots import Record, captured, packed
from service.security.resume import owner_digest
from service.store.port import Lease, LeaseHeld, RecordGone, SessionStore, StoreAway

TICK_S = 0.1
SAVED_EVERY_S = 2.0
FIRST_RETRY_S = 0.2
LONGEST_RETRY_S = 10.0
GRACE_S = 60.0
"""How much longer than its session a record stays."""
RENEWALS = 3
"""How often a lease is renewed in its time."""
LOOKED_AFTER_S = 5.0
"""How soon it is noticed that another server has taken a session which has no socket here, and so no lease."""
MAX_DELETED = 1000
"""Deletions that wait for the store; the records of others go when their time is up."""

_Answer = TypeVar("_Answer")
_log = structlog.get_logger("lockon.keeper")


@dataclass(slots=True)
class _Kept:
    """What the store knows of a session. After `ours_until_s` another server may have it."""

    saved_s: float = float("-inf")
    renewed_s: float = float("-inf")
    mark: object = None
    done_seq: int = -1
    ours_until_s: float = float("inf")
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def ours(self, until_s: float) -> None:
        """The session is certainly ours until then."""
        self.ours_until_s = until_s
        self.tell()

    def forgotten(self) -> None:
        """The store knows nothing of the session any more: it is written anew."""
        self.saved_s, self.renewed_s, self.mark, self.done_seq = float("-inf"), float("-inf"), None, -1

    def tell(self) -> None:
        """Something may have changed for those who wait for `news`."""
        self.news.set()
        self.news = asyncio.Event()


class Keeper:
    """Everything here runs on the event loop's thread."""

    def __init__(self, store: SessionStore, registry: Registry, lease_s: float) -> None:
        self.up = False
        self._store = store
        self._registry = registry
        self._lease_s = lease_s
        self._kept: dict[str, _Kept] = {}
        self._records: dict[str, Record] = {}  # the newest of each session that is to be written
        self._deleted: dict[str, int] = {}
        self._wake = asyncio.Event()
        registry.on_close = self._closed
        registry.metrics.store_up(up=False)

    def keeps(self, session: Session) -> bool:
        """Whether the session is one that outlives its socket, and so its server."""
        return self._registry.ttl_s(session) > 0

    def warn(self, session: Session) -> None:
        """Tells the session's client if it would be lost with this server."""
        if not self.up and self.keeps(session):
            detail = "the session store is away: the session goes on, but not on another server"
            session.answers.warn("store_degraded", detail, perf_counter())

    async def acquire(self, session_id: str, owner: str, above: int) -> Lease | None:
        """The lease of that owner's session, None if the store does not have it; raises LeaseHeld or StoreAway."""
        if not self.up:
            raise StoreAway("the store is away")
        ttl_s = self._registry.limits.detached_ttl_s + GRACE_S
        began_s = perf_counter()
        digest = owner_digest(owner)
        lease = await self._timed("acquire", self._store.acquire(session_id, digest, above, self._lease_s, ttl_s))
        if lease is not None:
            self._kept.setdefault(session_id, _Kept()).ours(began_s + self._lease_s)
        return lease

    async def release(self, session_id: str, owner: str, epoch: int) -> None:
        """Gives back the lease of a session that cannot be had here after all."""
        self._kept.pop(session_id, None)
        with suppress(StoreAway, RecordGone):  # it runs out by itself
            await self._timed("save", self._store.save(session_id, owner_digest(owner), epoch, None, 0.0, 0.0))

    async def place(self, session: Session, node: str) -> None:
        """Saves a new session for another server to have; raises StoreAway."""
        if not self.up:
            raise StoreAway("the store is away")
        snapshot, ttl_s = packed(captured(session, perf_counter())), self._registry.ttl_s(session) + GRACE_S
        await self._timed("place", self._store.place(session.id, owner_digest(session.owner), node, snapshot, ttl_s))

    async def other_home(self, session_id: str, owner: str) -> str | None:
        """The other server that had that owner's session last, as far as the store knows and answers."""
        if not self.up:
            return None
        try:
            home = await self._timed("home", self._store.home(session_id, owner_digest(owner)))
        except StoreAway:
            return None
        return home if home != self._store.node else None

    def is_held(self, error: LeaseHeld) -> bool:
        """Whether the server that has the lease still renews it."""
        return error.left_s > self._lease_s / 2

    async def holds(self, session: Session) -> bool:
        """Whether the session is still ours, for whoever is about to say what a client must not hear of two servers.

        Waits for the store where that is open: after this process has stood still for longer than its lease. While the
        store is away, sessions stay with those who had them when it went."""
        if perf_counter() <= self.ours_until_s(session):
            return True
        while perf_counter() > self.ours_until_s(session):
            await self._kept[session.id].news.wait()
        return session.state != "closed"

    def ours_until_s(self, session: Session) -> float:
        """Until when no other server can have the session, on `perf_counter`; infinite where none will."""
        kept = self._kept.get(session.id)
        return float("inf") if kept is None else kept.ours_until_s

    def hurry(self) -> None:
        """A socket has left: its session's lease is wanted elsewhere, perhaps at once."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._timed("ping", self._store.ping())
                self._found()
                heard_s = perf_counter()
                while True:
                    await self._tick()
                    self._capture(perf_counter())
                    if await self._write():
                        heard_s = perf_counter()
                    elif perf_counter() - heard_s > self._lease_s / RENEWALS:
                        await self._timed("ping", self._store.ping())
                        heard_s = perf_counter()
            except StoreAway as error:
                await self._missed(error)

    async def _tick(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(TICK_S):
                await self._wake.wait()
        self._wake.clear()

    async def flush(self, limit_s: float) -> None:
        """Saves everything for the last time and gives every lease back, as far as the time and the store allow."""
        if self.up:
            try:
                async with asyncio.timeout(limit_s):
                    await self._save_all()
            except (StoreAway, TimeoutError) as error:
                _log.warning("not every session was saved", kind="store_away", reason=str(error) or "out of time")
        await self._store.close()

    async def _save_all(self) -> None:
        for session in filter(self.keeps, self._registry.all()):
            self._kept.setdefault(session.id, _Kept())
            idle = asyncio.Event()
            session.when_idle(lambda _session, idle=idle: idle.set())  # type: ignore[misc]
            await idle.wait()
            self._record(session)
        await self._write()

    def _closed(self, session: Session, reason: str) -> None:
        self._records.pop(session.id, None)
        kept = self._kept.pop(session.id, None)
        if kept is not None:
            kept.tell()
        if kept is not None and reason not in ("superseded", "shutdown") and len(self._deleted) < MAX_DELETED:
            self._deleted[session.id] = session.epoch

    def _capture(self, now_s: float) -> None:
        """Has every session recorded that has changed: at once what cannot be guessed, the rest from time to time."""
        for session in filter(self.keeps, self._registry.all()):
            kept = self._kept.setdefault(session.id, _Kept())
            changed = kept.mark != _mark(session)
            moved = kept.done_seq != session.done_seq and now_s - kept.saved_s >= SAVED_EVERY_S
            if changed or moved:
                session.when_idle(self._record)

    def _record(self, session: Session) -> None:
        kept = self._kept.get(session.id)
        if kept is None or session.state == "closed" or session.failed:
            return
        now_s = perf_counter()
        kept.saved_s, kept.mark, kept.done_seq = now_s, _mark(session), session.done_seq
        with _alone(session):
            self._records[session.id] = captured(session, now_s)

    async def _write(self) -> int:
        """Writes what is due; returns how many calls that took."""
        calls = len(self._deleted)
        while self._deleted:
            session_id = next(iter(self._deleted))
            await self._timed("delete", self._store.delete(session_id, self._deleted[session_id]))
            self._deleted.pop(session_id, None)
        now_s = perf_counter()
        for session in filter(self.keeps, self._registry.all()):
            kept = self._kept.get(session.id)
            if kept is None:
                continue
            record = self._records.pop(session.id, None)
            every_s = self._lease_s / RENEWALS if session.outbox is not None else LOOKED_AFTER_S
            if record is not None or now_s - kept.renewed_s > every_s:
                await self._save(session, kept, record)
                calls += 1
        return calls

    async def _save(self, session: Session, kept: _Kept, record: Record | None) -> None:
        epoch, lease_s = session.epoch, self._lease_s if session.outbox is not None else 0.0
        ttl_s = self._registry.ttl_s(session) + GRACE_S
        snapshot = None
        if record is not None:
            with _alone(session):
                snapshot = packed(record)
        began_s = perf_counter()
        try:
            owner = owner_digest(session.owner)
            saved = await self._timed("save", self._store.save(session.id, owner, epoch, snapshot, lease_s, ttl_s))
        except RecordGone:
            kept.forgotten()
            return
        if saved:
            kept.renewed_s = began_s
            if session.epoch == epoch:  # not that of another socket by now, which has acquired a lease of its own
                kept.ours(began_s + lease_s if lease_s else float("inf"))
        elif session.epoch == epoch and session.state != "closed":
            # A later epoch, and not one that we have taken meanwhile.
            self._registry.superseded(session)

    def _found(self) -> None:
        self.up = True
        self._registry.metrics.store_up(up=True)
        # It may have been emptied: everything is written anew.
        for kept in self._kept.values():
            kept.forgotten()
        _log.info("the session store is there", kind="store_up")

    async def _missed(self, error: StoreAway) -> None:
        if self.up:
            _log.warning("the session store is away", kind="store_away", reason=str(error))
        self.up = False
        self._registry.metrics.store_up(up=False)
        now_s = perf_counter()
        for kept in self._kept.values():
            if kept.ours_until_s > now_s:  # nobody can take it while the store is away
                kept.ours(float("inf"))
        for session in self._registry.all():
            self.warn(session)
        delay_s = FIRST_RETRY_S
        while True:
            # Equal jitter: the servers must not all come at once when it is back.
            await asyncio.sleep(delay_s / 2 + random.uniform(0, delay_s / 2))
            delay_s = min(LONGEST_RETRY_S, 2 * delay_s)
            try:
                await self._timed("ping", self._store.ping())
            except StoreAway:
                continue
            return

    async def _timed(self, name: str, answer: Awaitable[_Answer]) -> _Answer:
        began_s, failed = perf_counter(), True
        try:
            answered = await answer
            failed = False
            return answered
        except StoreAway:
            raise
        except Exception:
            failed = False
            raise
        finally:
            self._registry.metrics.store_op(name, perf_counter() - began_s, failed=failed)


@contextmanager
def _alone(session: Session) -> Iterator[None]:
    """A fault with one session closes that one: the others are saved, and their leases renewed."""
    try:
        yield
    except Exception:
        _log.exception("a session could not be saved", kind="session_failed", session=session.id)
        session.fail()


def _mark(session: Session) -> object:
    """What cannot be guessed from an older snapshot: who is attached, and which targets there are in which states."""
    targets = tuple((entry.id, id(entry.target), entry.state) for entry in session.followed.values())
    return session.epoch, session.confirmed_epoch, session.outbox is not None, session.model, targets
