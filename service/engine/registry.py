"""All sessions of this server: created, found, closed, and forgotten in time."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from time import perf_counter

import structlog

from service.engine.admission import Draining, NoRoom, QuotaUsed, ServerFull, room
from service.engine.changing import ChangeRefused
from service.engine.counters import Drop
from service.engine.intake import unlimited
from service.engine.jobs import Followed
from service.engine.models import Model, Models, UnknownModel
from service.engine.scheduler import Scheduler
from service.engine.session import Session
from service.engine.snapshots import Saved, restore
from service.ids import new_id
from service.protocol import results
from service.protocol.requests import CreateRequest
from service.security.quotas import Quotas
from service.security.resume import ResumeTokens
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics
from service.telemetry.pseudonyms import tenant_hash

TOMBSTONE_S = 600.0
MAX_TOMBSTONES = 1000
SWEEP_S = 0.5
TOKEN_RENEWED_S = 60.0

_log = structlog.get_logger("lockon.sessions")


class SessionMissing(KeyError):
    """There is no such session; `gone` is True if it was closed within the last ten minutes."""

    def __init__(self, session_id: str, *, gone: bool) -> None:
        super().__init__(session_id)
        self.gone = gone


class Registry:
    """The sessions, by id."""

    def __init__(
        self,
        models: Models,
        limits: LimitSettings,
        scheduler: Scheduler,
        metrics: Metrics,
        quotas: Quotas | None = None,
        tokens: ResumeTokens | None = None,
    ) -> None:
        self.models = models
        self.limits = limits
        self.metrics = metrics
        self._scheduler = scheduler
        self._quotas = quotas
        self.tokens = tokens or ResumeTokens()
        self.draining = False
        self.address = ""
        """What goes before the paths of the API to reach this server and no other."""
        self.on_close: Callable[[Session, str], None] | None = None
        self._sessions: dict[str, Session] = {}
        self._created: dict[str, datetime] = {}
        self._tombstones: OrderedDict[str, tuple[float, str]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    @property
    def held_bytes(self) -> int:
        """Compressed bytes that all sessions keep."""
        return sum(session.held_bytes for session in self._sessions.values())

    def check_stays(self) -> None:
        """Raises Draining if the server is about to stop."""
        if self.draining:
            raise Draining("the server is stopping; another one, or this one later, will serve you")

    def check_room(self, owner: str, model: Model | None = None) -> None:
        """Raises ServerFull or QuotaUsed if that owner cannot have one more session, of that model if it is known."""
        try:
            self._check_room(owner, model)
        except NoRoom as error:
            self.metrics.admission("quota" if isinstance(error, QuotaUsed) else "capacity")
            raise

    def _check_room(self, owner: str, model: Model | None) -> None:
        self.check_stays()
        if self._quotas is not None:
            mine = sum(session.owner == owner for session in self._sessions.values())
            if mine >= self._quotas.sessions:
                raise QuotaUsed(
                    f"this key has {mine} sessions; the limit is {self._quotas.sessions}", self._quotas.sessions
                )
        if len(self._sessions) >= self.limits.max_sessions:
            raise ServerFull(f"{len(self._sessions)} sessions; the limit is {self.limits.max_sessions}")
        if self._carried(_typical_s(model) if model is not None else 0.0) == 0:
            raise ServerFull(f"one more session would leave some with less than {self.limits.min_fps:g} frames/s")

    def _carried(self, new_s: float) -> int | None:
        """How many more sessions the machine can carry whose frames cost that; None: there is no limit."""
        costs_s = map(_cost_s, self._sessions.values())
        return room(costs_s, new_s, workers=self._scheduler.workers, min_fps=self.limits.min_fps)

    @property
    def room(self) -> int:
        """How many more sessions of the default model there is room for."""
        left = max(0, self.limits.max_sessions - len(self._sessions))
        carried = self._carried(_typical_s(self.models.chosen(None)))
        return left if carried is None else min(left, carried)

    def drafted(self, request: CreateRequest, owner: str) -> Session:
        """A new session that another server is to have; raises UnknownModel."""
        return self._made(new_id("ses"), request, owner, self.models.chosen(request.model))

    def create(self, request: CreateRequest, owner: str = "", *, pointer: str = "") -> Session:
        """A new session of that owner's; `pointer` is where the request stands in its message.

        Raises UnknownModel, ServerFull or QuotaUsed."""
        model = self.models.chosen(request.model)
        self.check_room(owner, model)
        self.metrics.admission()
        return self._added(new_id("ses"), request, owner, model, pointer)

    def _made(self, session_id: str, request: CreateRequest, owner: str, model: Model, pointer: str = "") -> Session:
        return Session(
            session_id,
            request,
            model,
            self.limits,
            self._scheduler.wake,
            perf_counter(),
            pointer=pointer,
            owner=owner,
            quota=partial(self._quotas.take, owner) if self._quotas is not None else unlimited,
            choose=self._chosen,
        )

    def _chosen(self, session: Session, name: str | None) -> Model:
        """The model that a session asks to go on with; raises ChangeRefused, or ServerFull where a slower one would
        leave too little for the others."""
        try:
            model = self.models.chosen(name)
        except UnknownModel as error:
            raise ChangeRefused(str(error), "/model", "unknown_model") from error
        if model is session.model:
            return model
        others_s = [_cost_s(other) for other in self._sessions.values() if other is not session]
        new_s, min_fps = _typical_s(model), self.limits.min_fps
        slower = new_s > _cost_s(session)
        if slower and room(others_s, new_s, workers=self._scheduler.workers, min_fps=min_fps) == 0:
            raise ServerFull(f"with {model.id}, some sessions would be left with less than {min_fps:g} frames/s")
        return model

    def _added(self, session_id: str, request: CreateRequest, owner: str, model: Model, pointer: str = "") -> Session:
        session = self._made(session_id, request, owner, model, pointer)
        self._sessions[session.id] = session
        self._created[session.id] = datetime.now(UTC)
        who = {"session": session.id, "tenant_hash": tenant_hash(owner)}
        _log.info("session opened", kind="session_open", model=model.id, mode=request.mode, **who)
        return session

    def adopt(self, saved: Saved, epoch: int, followed: list[Followed]) -> Session:
        """A session that was another server's; raises UnknownModel, ServerFull, QuotaUsed or Draining."""
        request = saved.request
        if saved.record["last_seq"] >= 0:  # what it was created with has been started, or was answered
            request = request.model_copy(update={"targets": saved.restarts})
        model = self.models.chosen(saved.model)
        self.check_room(saved.owner, model)
        session = self._added(saved.id, request, saved.owner, model)
        restore(session, saved, followed)
        session.epoch, session.state = epoch, "detached"
        return session

    def superseded(self, session: Session) -> None:
        """Another server has this session now: it ends here, and only here."""
        if session.outbox is not None:
            session.outbox.drop_results()
        session.answers.say(results.goaway("superseded"))
        session.answers.close(4409, "superseded: another server took the session over")
        self.close(session, "superseded")

    def find(self, session_id: str) -> Session:
        """The session with that id, whoever has it; raises SessionMissing."""
        session = self._sessions.get(session_id)
        if session is None:
            raise SessionMissing(session_id, gone=session_id in self._tombstones)
        return session

    def find_own(self, session_id: str, owner: str) -> Session:
        """The session with that id if it is that owner's; anybody else's is as unknown as one that never was."""
        session = self._sessions.get(session_id)
        if session is None or session.owner != owner:
            raise SessionMissing(session_id, gone=self._tombstones.get(session_id, (0.0, None))[1] == owner)
        return session

    def owned_by_id(self, session_id: str, owner: str) -> Session | None:
        """The session with that id if it is here and that owner's."""
        session = self._sessions.get(session_id)
        return session if session is not None and session.owner == owner else None

    def created_at(self, session: Session) -> datetime:
        """When the session was created; one that is being made for another server, now."""
        return self._created.get(session.id) or datetime.now(UTC)

    def owned(self, owner: str) -> list[Session]:
        """Every session of that owner's, the newest first."""
        return [session for session in self.all() if session.owner == owner]

    def may_resume(self, owner: str) -> bool:
        """Whether that owner has a session here that had a socket once, and waits for another one when it is gone."""
        return any(session.epoch > 0 and self.ttl_s(session) > 0 for session in self.owned(owner))

    def all(self) -> list[Session]:
        """Every session, the newest first."""
        return list(reversed(self._sessions.values()))

    def close(self, session: Session, reason: str, drop: Drop = Drop.DETACHED) -> None:
        """Closes a session and forgets it; its socket, if there is one, is told and closed with 4410."""
        if self._sessions.pop(session.id, None) is None:
            return
        if session.outbox is not None:
            session.outbox.put(results.goaway(reason))
            session.outbox.close(4410, f"gone: the session was closed ({reason})")
        session.close(drop)
        if self.on_close is not None:
            self.on_close(session, reason)
        created = self._created.pop(session.id)
        self._scheduler.forget(session)
        if reason != "superseded":  # another server has it
            self._tombstones[session.id] = (perf_counter(), session.owner)
        while len(self._tombstones) > MAX_TOMBSTONES:
            self._tombstones.popitem(last=False)
        self.metrics.session_closed(reason)
        dur_ms = round((datetime.now(UTC) - created).total_seconds() * 1e3)
        fields = session.counters.view() | {"targets": len(session.followed), "epoch": session.epoch}
        who = {"session": session.id, "tenant_hash": tenant_hash(session.owner), "model": session.model.id}
        _log.info("session closed", kind="session_close", reason=reason, dur_ms=dur_ms, **who, **fields)

    def sweep(self, now_s: float) -> None:
        """What time brings: operations that wait in vain, idle sockets, sessions that nobody came back to, and models
        that nobody uses any more."""
        for session in self.all():
            try:
                self._sweep_one(session, now_s)
            except Exception:
                # Without this task no session would ever expire again.
                _log.exception("a session failed while being looked after", kind="session_failed", session=session.id)
                session.fail()
        in_use = {model for session in self._sessions.values() for model in session.models}
        self.models.release(in_use | self._scheduler.models_at_work())
        while self._tombstones and now_s - next(iter(self._tombstones.values()))[0] > TOMBSTONE_S:
            self._tombstones.popitem(last=False)

    def _sweep_one(self, session: Session, now_s: float) -> None:
        if session.failed:
            self.close(session, "internal", Drop.INTERNAL)
            return
        session.settle(now_s)
        if session.outbox is not None:
            if now_s - session.last_frame_s > self.limits.idle_timeout_s:
                session.answers.say(results.goaway("idle", token=self.resume_token(session, now_s)))
                session.answers.close(4408, f"timeout: no frame for {self.limits.idle_timeout_s:g} s")
            elif now_s - session.token_s > TOKEN_RENEWED_S and (token := self.resume_token(session, now_s)):
                session.answers.say(results.token_event(token))
        elif now_s - session.detached_s > self.ttl_s(session):
            self.close(session, "expired")

    def ttl_s(self, session: Session) -> int:
        """How long the session is kept without a socket."""
        asked = session.request.detached_ttl_s
        return self.limits.detached_ttl_s if asked is None else asked

    def resume_token(self, session: Session, now_s: float) -> str | None:
        """A token to go on with the session as it is now; None if it ends with its socket."""
        ttl_s = self.ttl_s(session)
        session.token_s = now_s
        return self.tokens.issue(session.id, session.owner, session.epoch, ttl_s, time.time()) if ttl_s else None

    async def keep_sweeping(self) -> None:
        """Sweeps until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_S)
            self.sweep(perf_counter())


def _typical_s(model: Model) -> float:
    return model.costs.typical_s or 0.0


def _cost_s(session: Session) -> float:
    return session.costs.typical_s or _typical_s(session.model)
