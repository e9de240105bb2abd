"""From the first message of a socket to the session that it is attached to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter

from service.api.handshake import Opening
from service.engine.admission import Draining, QuotaUsed, ServerFull
from service.engine.fleet import STREAM_PATH, Fleet, session_path
from service.engine.models import UnknownModel
from service.engine.outbox import Outbox
from service.engine.registry import Registry
from service.engine.resume import Refusal, ResumeRefused, Resumption
from service.engine.session import Session
from service.engine.views import model_view
from service.protocol import results
from service.protocol.messages import Hello, Message, MessageInvalid, ResumeRequest, UnknownType, read_message
from service.protocol.requests import CreateRequest
from service.protocol.results import PING_MS, Payload
from service.protocol.strict_json import MAX_TEXT_BYTES, JsonRefused, parsed
from service.security.tickets import PinnedOtherwise, pinned

_RESUME_REFUSALS = {
    Refusal.BAD_TOKEN: (4401, "bad_token"),
    Refusal.EXPIRED: (4410, "gone"),
    Refusal.UNREADABLE: (4410, "gone"),
    Refusal.UNKNOWN: (4404, "no_session"),
    Refusal.STALE_EPOCH: (4409, "stale_epoch"),
    Refusal.ELSEWHERE: (1013, "session_elsewhere"),
    Refusal.STORE_AWAY: (1013, "store_unavailable"),
    Refusal.VERSION: (1013, "snapshot_version"),
}


_STATE_LOST = (Refusal.BAD_TOKEN, Refusal.UNKNOWN, Refusal.UNREADABLE)
"""Nothing of the session is left that its client could have: not so where it was ended, or another one may have it."""


class Refused(Exception):
    """The socket has to be closed with this code; a fatal error message goes before, which may name another address."""

    def __init__(
        self,
        code: int,
        error: str,
        detail: str,
        pointer: str = "",
        *,
        stream_url: str | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.code, self.error, self.detail, self.pointer = code, error, detail, pointer
        self.stream_url, self.retry_after_ms = stream_url, retry_after_ms

    def message(self) -> Payload:
        """The error message."""
        return results.error(
            self.error,
            self.detail,
            fatal=True,
            pointer=self.pointer,
            stream_url=self.stream_url,
            retry_after_ms=self.retry_after_ms,
        )


@dataclass(frozen=True, slots=True)
class Attached:
    """The session, whether this socket made it, the first message if it was no hello but one for the session, and the
    trace and the client that the hello names."""

    session: Session
    own: bool
    rest: str | bytes | None
    trace: str | None = None
    client: str = ""


class Attaching:
    """One socket on its way to its session."""

    def __init__(
        self, registry: Registry, resumption: Resumption, fleet: Fleet, opening: Opening, outbox: Outbox
    ) -> None:
        self._registry = registry
        self._resumption = resumption
        self._fleet = fleet
        self._opening = opening
        self._outbox = outbox

    async def attached(self, first: str | bytes, named: Session | None) -> Attached:
        """Attaches to the session that the address names, or that the message asks for; raises Refused."""
        hello, rest = self._greeting(first, named)
        session, epoch, lost = await self._session(hello, named)
        if session.state == "closed":
            raise Refused(4410, "gone", "the session was closed or has expired meanwhile")
        takes_over = hello.takeover or hello.resume is not None
        if epoch < session.epoch or (session.outbox is not None and not takes_over):
            raise Refused(4409, "session_attached", "another socket is attached to this session, or was faster")
        if hello.want is not None:
            session.answers.want = hello.want
        session.attach(self._outbox, perf_counter(), epoch=epoch)
        self._outbox.put(self._welcome(session))
        if lost is not None:
            self._outbox.put(results.lost_event(lost))
        self._resumption.warn(session)
        session.go_on(hello.resume.last_seq if hello.resume is not None else None)
        own = named is None and (hello.resume is None or lost is not None)
        client = f"{hello.client.name} {hello.client.version}".strip()
        return Attached(session, own, rest, hello.trace, client)

    def _greeting(self, first: str | bytes, named: Session | None) -> tuple[Hello, str | bytes | None]:
        hello, rest = Hello(type="hello"), first
        if isinstance(first, str) and (named is None or _says_hello(first)):
            return _hello(first), None
        if named is None:
            raise Refused(4400, "bad_hello", "the first message is a hello with create or resume, as text")
        return hello, rest

    async def _session(self, hello: Hello, named: Session | None) -> tuple[Session, int, Refusal | None]:
        """The session, the epoch of this socket, and for a new one that stands in for another why it has to."""
        if hello.create is not None and named is not None:
            raise Refused(4400, "bad_hello", "create is for a new session, on /v1/stream", "/create")
        if hello.resume is not None:
            return await self._resumed(hello.resume, hello.create, named)
        if named is None:
            return self._created(hello.create or CreateRequest()), 1, None
        if named.outbox is not None and not hello.takeover:
            raise Refused(4409, "session_attached", "another socket is attached to this session")
        try:
            with room_or_refused(self._fleet, session_path(named.id)):
                session, epoch, _ = await self._resumption.taken(named.id, named.owner)
        except ResumeRefused as error:
            raise refused(error, named.id) from error
        return session, epoch, None

    async def _resumed(
        self, request: ResumeRequest, create: CreateRequest | None, named: Session | None
    ) -> tuple[Session, int, Refusal | None]:
        began_s = perf_counter()
        try:
            with room_or_refused(self._fleet):
                session, epoch, adopted = await self._resumption.resumed(request.token, self._opening.caller.owner)
        except ResumeRefused as error:
            self._registry.metrics.resumed(error.refusal)
            if create is not None and error.refusal in _STATE_LOST:
                return self._created(create), 1, error.refusal
            raise refused(error, named.id if named is not None else None) from error
        if named is not None and named.id != session.id:
            raise Refused(4400, "bad_hello", "this token is for another session", "/resume/token")
        self._registry.metrics.resumed("snapshot" if adopted else "ok", perf_counter() - began_s)
        return session, epoch, None

    def _created(self, create: CreateRequest) -> Session:
        create, limit = self._as_pinned(create), self._registry.limits.max_targets
        if len(create.targets) > limit:
            detail = f"{len(create.targets)} targets; the limit is {limit}"
            raise Refused(4400, "too_many_targets", detail, "/create/targets")
        if create.detached_ttl_s is None:
            create = create.model_copy(update={"detached_ttl_s": 0})
        try:
            # What a ticket allows it allows on this server alone.
            with room_or_refused(self._fleet if self._opening.pinned is None else None):
                return self._registry.create(create, self._opening.caller.owner, pointer="/create")
        except UnknownModel as error:
            raise Refused(4400, "unknown_model", str(error), "/create/model") from error

    def _as_pinned(self, create: CreateRequest) -> CreateRequest:
        if self._opening.pinned is None:
            return create
        try:
            return pinned(self._opening.pinned, create)
        except PinnedOtherwise as error:
            raise Refused(4403, "not_allowed", str(error), f"/create/{error.name}") from error

    def _welcome(self, session: Session) -> Payload:
        limits = self._registry.limits
        now_s = perf_counter()
        return {
            "type": "welcome",
            "version": 1,
            "session": session.id,
            "epoch": session.epoch,
            "resumed": session.epoch > 1,
            "last_seq": session.last_seq if session.last_seq >= 0 else None,
            "resume_token": self._registry.resume_token(session, now_s),
            "resume_ttl_s": self._registry.ttl_s(session),
            "model": model_view(session.model),
            "mode": session.request.mode,
            "limits": {
                "max_frame_bytes": limits.max_frame_bytes,
                "max_pixels": limits.max_pixels,
                "max_targets": limits.max_targets,
                "must_queue": limits.must_queue,
                "max_fps": session.request.max_fps,
            },
            "credit": session.answers.credit.view(),
            "targets": session.target_views(),
            "clock_ms": round(now_s * 1e3, 3),
            "ping_ms": PING_MS,
        }


def refused(error: ResumeRefused, session_id: str | None = None) -> Refused:
    """How a socket ends whose session cannot be gone on with; `session_id` where its address names it."""
    code, name = _RESUME_REFUSALS[error.refusal]
    path = STREAM_PATH if session_id is None else session_path(session_id)
    stream_url = None if error.address is None else error.address + path
    wait_ms = None if error.left_s is None else max(0, round(error.left_s * 1e3))
    return Refused(code, name, str(error), "/resume/token", stream_url=stream_url, retry_after_ms=wait_ms)


@contextmanager
def room_or_refused(fleet: Fleet | None, path: str = STREAM_PATH) -> Iterator[None]:
    """Turns the want of room for a session into Refused, with that path of a server of the fleet that has some."""
    try:
        yield
    except Draining as error:
        raise Refused(1012, "draining", str(error)) from error
    except ServerFull as error:
        roomier = fleet.roomier() if fleet is not None else None
        stream_url = roomier[1] + path if roomier is not None else None
        raise Refused(4503, "no_capacity", str(error), stream_url=stream_url) from error
    except QuotaUsed as error:
        raise Refused(4429, "rate_limited", str(error)) from error


def read_text(text: str) -> Message:
    """The message; raises Refused for one that is too long, MessageInvalid or UnknownType."""
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise Refused(1009, "too_big", f"a text message has at most {MAX_TEXT_BYTES} bytes")
    return read_message(text)


def _hello(text: str) -> Hello:
    try:
        message = read_text(text)
    except (MessageInvalid, UnknownType) as error:
        raise Refused(4400, "bad_hello", str(error), getattr(error, "pointer", "")) from error
    if not isinstance(message, Hello):
        raise Refused(4400, "bad_hello", f"the first message is a hello, not {message.type}", "/type")
    return message


def _says_hello(text: str) -> bool:
    try:
        message = parsed(text) if len(text) <= MAX_TEXT_BYTES else None
    except JsonRefused:
        return False
    return isinstance(message, dict) and message.get("type") == "hello"
