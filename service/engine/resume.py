"""Who may go on with which session: by its token or its address, on this server or from what another one has saved."""

from __future__ import annotations

import asyncio
import time
from enum import StrEnum

import structlog

from service.engine.keeper import Keeper
from service.engine.models import UnknownModel
from service.engine.registry import Registry, SessionMissing
from service.engine.session import Session
from service.engine.snapshots import SnapshotUnreadable, revived, unpacked
from service.security.resume import Claim, TokenExpired, TokenForged
from service.store.port import Lease, LeaseHeld, StoreAway

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


class ResumeRefused(Exception):
    """There is nothing to go on with; the message is safe to show."""

    def __init__(self, refusal: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.refusal = refusal


class Resumption:
    """Gives sessions to those who may have them; with a keeper, also those of other servers."""

    def __init__(self, registry: Registry, keeper: Keeper | None = None) -> None:
        self._registry = registry
        self._keeper = keeper

    def outlives_server(self, session: Session) -> bool:
        """Whether another server could go on with the session."""
        return self._keeper is not None and self._keeper.up and self._keeper.keeps(session)

    async def resumed(self, token: str, owner: str) -> tuple[Session, int]:
        """The session that the owner's token is for, and the epoch of its next socket.

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
        session, epoch = await self.taken(claim.session, owner)
        self._check_fresh(claim, session)
        return session, epoch

    async def taken(self, session_id: str, owner: str) -> tuple[Session, int]:
        """The owner's session of that id, wherever it was, and the epoch of its next socket; raises as `resumed`."""
        local = self._registry.owned_by_id(session_id, owner)
        if self._keeper is None or (local is not None and not self._keeper.keeps(local)):
            return self._local(session_id, owner)
        try:
            lease = await self._keeper.acquire(session_id, local.epoch if local is not None else 0)
        except StoreAway as error:
            if local is None:
                raise ResumeRefused(Refusal.STORE_AWAY, "the session store does not answer; try again") from error
            return self._local(session_id, owner)
        except LeaseHeld as error:
            if local is not None:
                self._registry.superseded(local)
            raise ResumeRefused(Refusal.ELSEWHERE, str(error)) from error
        local = self._registry.owned_by_id(session_id, owner)  # it may have come or gone meanwhile
        if lease is None or (local is not None and lease.before <= local.epoch):
            return self._local(session_id, owner, lease.epoch if lease is not None else None)
        if local is not None:
            self._registry.superseded(local)
        return await self._adopted(lease, session_id, owner), lease.epoch

    def warn(self, session: Session) -> None:
        """Tells a client whose session would be lost with this server."""
        if self._keeper is not None:
            self._keeper.warn(session)

    def _local(self, session_id: str, owner: str, epoch: int | None = None) -> tuple[Session, int]:
        try:
            session = self._registry.find_own(session_id, owner)
        except SessionMissing as error:
            if error.gone:
                raise ResumeRefused(Refusal.EXPIRED, "the session was closed or has expired") from error
            raise ResumeRefused(Refusal.UNKNOWN, "there is no such session") from error
        epoch = session.epoch + 1 if epoch is None else epoch
        # From now on this is the session's epoch, whoever asks next.
        session.epoch = max(session.epoch, epoch)
        return session, epoch

    async def _adopted(self, lease: Lease, session_id: str, owner: str) -> Session:
        try:
            saved = unpacked(lease.snapshot or b"")
            if saved.owner != owner or saved.id != session_id:
                raise ResumeRefused(Refusal.UNKNOWN, "there is no such session")
            model = self._registry.models.chosen(saved.model)
            followed = await asyncio.to_thread(revived, saved, model.tracker)
        except (SnapshotUnreadable, UnknownModel) as error:
            _log.warning("a session was not taken over", kind="session_lost", session=session_id, reason=str(error))
            raise ResumeRefused(Refusal.UNREADABLE, f"the session cannot be restored: {error}") from error
        if saved.record["model_digest"] != model.digest:
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
