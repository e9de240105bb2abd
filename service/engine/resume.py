"""Who may go on with which session: by its token or its address, on this server or from what another one has saved."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum
from time import perf_counter
from typing import NamedTuple

import structlog

from service.engine.admission import NoRoom
from service.engine.fleet import Fleet
from service.engine.keeper import Keeper
from service.engine.models import UnknownModel
from service.engine.registry import Registry, SessionMissing
from service.engine.session import Session
from service.engine.snapshots import SnapshotOfOtherVersion, SnapshotUnreadable, revived, unpacked
from service.security.resume import Claim, TokenExpired, TokenForged
from service.store.port import Lease, LeaseHeld, StoreAway

GIVEN_BACK_S = (0.02, 0.04, 0.08, 0.16)
"""When a lease is asked for again that is about to be given back."""

_log = structlog.get_logger("lockon.resume")


class Refusal(StrEnum):
    """Why a session cannot be gone on with; closed list, also the label of the metric."""

    BAD_TOKEN = "bad_token"  # noqa: S105 - a name
    EXPIRED = "expired"
    UNKNOWN = "unknown"
    STALE_EPOCH = "stale_epoch"
    ELSEWHERE = "elsewhere"
    STORE_AWAY = "store_away"
    UNREADABLE = "unreadable"
    VERSION = "version"


class ResumeRefused(Exception):
    """There is nothing to go on with here; the message is safe to show. `address`: where the server that has the
    session is reached, if that is known; `left_s`: for how long nobody else can have it."""

    def __init__(self, refusal: Refusal, detail: str, address: str | None = None, left_s: float | None = None) -> None:
        super().__init__(detail)
        self.refusal = refusal
        self.address = address
        self.left_s = left_s

    @property
    def passes(self) -> bool:
        """Whether the session may be had later, or on another server."""
        return self.refusal in (Refusal.ELSEWHERE, Refusal.STORE_AWAY, Refusal.VERSION)


class Taken(NamedTuple):
    """A session to go on with, the epoch of its next socket, and whether it was another server's until now."""

    session: Session
    epoch: int
    adopted: bool


class Resumption:
    """Gives sessions to those who may have them; with a keeper, also those of other servers."""

    def __init__(self, registry: Registry, fleet: Fleet, keeper: Keeper | None = None) -> None:
        self._registry = registry
        self._fleet = fleet
        self._keeper = keeper

    def outlives_server(self, session: Session) -> bool:
        """Whether another server could go on with the session."""
        return self._keeper is not None and self._keeper.up and self._keeper.keeps(session)

    async def resumed(self, token: str, owner: str) -> Taken:
        """The session that the owner's token is for.

        Raises ResumeRefused, and NoRoom where the session has to be taken over from another server."""
        try:
            claim = self._registry.tokens.read(token, time.time())
        except TokenForged as error:
            raise ResumeRefused(Refusal.BAD_TOKEN, str(error)) from error
        except TokenExpired as error:
            raise ResumeRefused(Refusal.EXPIRED, str(error)) from error
        if not claim.is_of(owner):
            raise ResumeRefused(Refusal.UNKNOWN, "there is no such session")
        self._check_fresh(claim, self._registry.owned_by_id(claim.session, owner))
        taken = await self.taken(claim.session, owner)
        self._check_fresh(claim, taken.session)
        return taken

    async def taken(self, session_id: str, owner: str) -> Taken:
        """The owner's session of that id, wherever it was; raises as `resumed`."""
        local = self._registry.owned_by_id(session_id, owner)
        if self._keeper is None or (local is not None and not self._keeper.keeps(local)):
            return self._local(session_id, owner)
        try:
            lease = await self._acquired(self._keeper, session_id, owner, local.epoch if local is not None else 0)
        except StoreAway as error:
            if local is None:
                raise ResumeRefused(Refusal.STORE_AWAY, "the session store does not answer; try again") from error
            return self._local(session_id, owner)
        except LeaseHeld as error:
            if local is not None:
                self._registry.superseded(local)
            # A server that renews its leases may give this one back any moment; of another one that is not likely.
            held = self._keeper.is_held(error)
            address, left_s = (self._fleet.address_of(error.node), None) if held else (None, error.left_s)
            raise ResumeRefused(Refusal.ELSEWHERE, str(error), address, left_s) from error
        local = self._registry.owned_by_id(session_id, owner)  # it may have come or gone meanwhile
        if lease is None or (local is not None and lease.before <= local.epoch):
            return self._local(session_id, owner, lease.epoch if lease is not None else None)
        if local is not None:
            self._registry.superseded(local)
        try:
            return Taken(await self._adopted(lease, session_id, owner), lease.epoch, adopted=True)
        except (ResumeRefused, NoRoom):
            await self._keeper.release(session_id, owner, lease.epoch)
            raise

    async def _acquired(self, keeper: Keeper, session_id: str, owner: str, above: int) -> Lease | None:
        """The session's lease. Waits a moment for a server that is there and takes nobody: it is about to stop, the
        client has just left it, and the lease is on its way back."""
        for wait_s in GIVEN_BACK_S:
            try:
                return await keeper.acquire(session_id, owner, above)
            except LeaseHeld as error:
                if not keeper.is_held(error) or self._fleet.address_of(error.node) is not None:
                    raise
            await asyncio.sleep(wait_s)
        return await keeper.acquire(session_id, owner, above)

    def surely_holds(self, session: Session) -> bool:
        """Whether no other server can have the session, and that is certain without waiting."""
        return self._keeper is None or perf_counter() <= self._keeper.ours_until_s(session)

    async def holds(self, session: Session) -> bool:
        """Whether no other server can have the session; waits where that is open."""
        return self._keeper is None or await self._keeper.holds(session)

    def left(self) -> None:
        """A socket has left its session."""
        if self._keeper is not None:
            self._keeper.hurry()

    def warn(self, session: Session) -> None:
        """Tells a client whose session would be lost with this server."""
        if self._keeper is not None:
            self._keeper.warn(session)

    def _local(self, session_id: str, owner: str, epoch: int | None = None) -> Taken:
        try:
            session = self._registry.find_own(session_id, owner)
        except SessionMissing as error:
            if error.gone:
                raise ResumeRefused(Refusal.EXPIRED, "the session was closed or has expired") from error
            raise ResumeRefused(Refusal.UNKNOWN, "there is no such session") from error
        epoch = session.epoch + 1 if epoch is None else epoch
        # From now on this is the session's epoch, whoever asks next.
        session.epoch = max(session.epoch, epoch)
        return Taken(session, epoch, adopted=False)

    async def _adopted(self, lease: Lease, session_id: str, owner: str) -> Session:
        try:
            saved = unpacked(lease.snapshot or b"")
            if saved.owner != owner or saved.id != session_id:
                raise ResumeRefused(Refusal.UNKNOWN, "there is no such session")
            model = self._registry.models.chosen(saved.model)
            followed = await asyncio.to_thread(revived, saved, model.tracker)
        except SnapshotOfOtherVersion as error:
            raise ResumeRefused(Refusal.VERSION, f"servers of another version have saved this: {error}") from error
        except (SnapshotUnreadable, UnknownModel) as error:
            _log.warning("a session was not taken over", kind="session_lost", session=session_id, reason=str(error))
            raise ResumeRefused(Refusal.UNREADABLE, f"the session cannot be restored: {error}") from error
        if saved.record.get("model_digest") != model.digest:
            _log.warning(
                "a session goes on with another package of its model", kind="session_model", session=session_id
            )
        present = self._registry.owned_by_id(session_id, owner)
        return present or self._registry.adopt(saved, lease.epoch, followed)

    @staticmethod
    def _check_fresh(claim: Claim, session: Session | None) -> None:
        # A client whose welcome got lost comes back with its old token; one who was superseded does so, too.
        if session is not None and claim.epoch < session.confirmed_epoch:
            raise ResumeRefused(Refusal.STALE_EPOCH, "another socket has taken the session over since")
