"""The sockets: /v1/stream and /v1/sessions/{id}/stream. One task reads and never waits for a worker, one task sends."""

from __future__ import annotations

import asyncio
from time import perf_counter

import structlog
from fastapi import APIRouter, WebSocket
from starlette.websockets import WebSocketDisconnect

from service.api.handshake import SUBPROTOCOL, Opening, check_free, check_handshake, deny, room_needed
from service.api.problems import Problem
from service.api.sessions import found
from service.engine.models import UnknownModel
from service.engine.outbox import CloseOrder, Outbox, ResultDraft
from service.engine.registry import QuotaUsed, Registry, ServerFull
from service.engine.session import Session
from service.engine.views import model_view
from service.protocol import results
from service.protocol.header import Reason
from service.protocol.messages import (
    Bye,
    CreateRequest,
    Hello,
    Message,
    MessageInvalid,
    Ping,
    Pong,
    UnknownType,
    read_message,
)
from service.protocol.results import CREDIT_FRAMES, PING_MS, Payload, encoded
from service.protocol.strict_json import MAX_TEXT_BYTES, JsonRefused, parsed
from service.security.access import Access
from service.security.tickets import PinnedOtherwise, pinned

CREDENTIALS_CHECK_S = 2.0

router = APIRouter()
_log = structlog.get_logger("lockon.stream")


class Refused(Exception):
    """The socket has to be closed with this code; a fatal error message goes before."""

    def __init__(self, code: int, error: str, detail: str, pointer: str = "") -> None:
        super().__init__(detail)
        self.code, self.error, self.detail, self.pointer = code, error, detail, pointer


@router.websocket("/v1/stream")
async def stream(websocket: WebSocket) -> None:
    """Create and attach in one: the first message is a hello with `create`."""
    registry: Registry = websocket.app.state.registry
    try:
        opening = await check_handshake(websocket)
        with room_needed():
            registry.check_room(opening.caller.owner)
    except Problem as problem:
        await deny(websocket, problem)
        return
    await _served(websocket, registry, opening, None)


@router.websocket("/v1/sessions/{session_id}/stream")
async def session_stream(websocket: WebSocket, session_id: str) -> None:
    """Attaches to a session; the hello may be left out."""
    registry: Registry = websocket.app.state.registry
    try:
        opening = await check_handshake(websocket, session_id)
        session = found(registry, session_id, opening.caller.owner)
        check_free(session)
    except Problem as problem:
        await deny(websocket, problem)
        return
    await _served(websocket, registry, opening, session)


async def _served(websocket: WebSocket, registry: Registry, opening: Opening, session: Session | None) -> None:
    """The life of an accepted socket."""
    await websocket.accept(SUBPROTOCOL if websocket.scope["subprotocols"] else None)
    registry.metrics.connection_opened()
    code = 1006
    try:
        code = await _Connection(websocket, registry, opening).run(session)
    except WebSocketDisconnect as gone:
        code = gone.code
    finally:
        registry.metrics.connection_closed(code)


class _Connection:
    """One socket and the session it is attached to."""

    def __init__(self, websocket: WebSocket, registry: Registry, opening: Opening) -> None:
        self._websocket = websocket
        self._registry = registry
        self._opening = opening
        self._access: Access = websocket.app.state.access
        self._outbox = Outbox(registry.limits.outbound_queue)
        self._own = False
        self._left = False
        self._watch: asyncio.TimerHandle | None = None

    async def run(self, session: Session | None) -> int:
        """Hello, then reading and writing until either ends; returns the close code."""
        try:
            async with asyncio.timeout(self._registry.limits.hello_timeout_s):
                first = await self._receive()
            self._own = session is None
            session, rest = self._opened(first, session)
        except TimeoutError:
            return await self._refuse(Refused(4408, "timeout", "no hello in time"))
        except Refused as refused:
            return await self._refuse(refused)
        try:
            return await self._pump(session, rest)
        finally:
            self._leave(session)

    def _opened(self, first: str | bytes, session: Session | None) -> tuple[Session, str | bytes | None]:
        """The attached session, and the first message if it is no hello but already for the session."""
        rest: str | bytes | None = first
        hello = Hello(type="hello")
        if isinstance(first, str) and (session is None or _says_hello(first)):
            hello, rest = self._hello(first), None
        if session is None:
            if rest is not None:
                raise Refused(4400, "bad_hello", "the first message is a hello with create, as text")
            session = self._created(hello.create or CreateRequest())
        elif hello.create is not None:
            raise Refused(4400, "bad_hello", "create belongs to /v1/stream", "/create")
        if session.state == "closed":
            raise Refused(4410, "gone", "the session was closed or has expired meanwhile")
        if session.outbox is not None:
            raise Refused(4409, "session_attached", "another socket was faster")
        if hello.want is not None:
            session.want = hello.want
        session.attach(self._outbox, perf_counter())
        self._outbox.put(self._welcome(session))
        return session, rest

    def _hello(self, text: str) -> Hello:
        try:
            message = _read_text(text)
        except (MessageInvalid, UnknownType) as error:
            raise Refused(4400, "bad_hello", str(error), getattr(error, "pointer", "")) from error
        if not isinstance(message, Hello):
            raise Refused(4400, "bad_hello", f"the first message is a hello, not {message.type}", "/type")
        return message

    def _created(self, create: CreateRequest) -> Session:
        create, limit = self._as_pinned(create), self._registry.limits.max_targets
        if len(create.targets) > limit:
            detail = f"{len(create.targets)} targets; the limit is {limit}"
            raise Refused(4400, "too_many_targets", detail, "/create/targets")
        if create.detached_ttl_s is None:
            create = create.model_copy(update={"detached_ttl_s": 0})
        try:
            return self._registry.create(create, self._opening.caller.owner, pointer="/create")
        except UnknownModel as error:
            raise Refused(4400, "unknown_model", str(error), "/create/model") from error
        except ServerFull as error:
            raise Refused(4503, "no_capacity", str(error)) from error
        except QuotaUsed as error:
            raise Refused(4429, "rate_limited", str(error)) from error

    def _as_pinned(self, create: CreateRequest) -> CreateRequest:
        if self._opening.pinned is None:
            return create
        try:
            return pinned(self._opening.pinned, create)
        except PinnedOtherwise as error:
            raise Refused(4403, "not_allowed", str(error), f"/create/{error.name}") from error

    def _welcome(self, session: Session) -> Payload:
        limits = self._registry.limits
        return {
            "type": "welcome",
            "version": 1,
            "session": session.id,
            "epoch": session.epoch,
            "resumed": session.epoch > 1,
            "resume_token": None,
            "resume_ttl_s": self._registry.ttl_s(session),
            "model": model_view(session.model),
            "mode": session.request.mode,
            "limits": {
                "max_frame_bytes": limits.max_frame_bytes,
                "max_pixels": limits.max_pixels,
                "max_targets": limits.max_targets,
                "must_queue": limits.must_queue,
                "max_fps": None,
            },
            "credit": {"frames": CREDIT_FRAMES, "must": limits.must_queue},
            "targets": session.target_views(),
            "clock_ms": round(perf_counter() * 1e3, 3),
            "ping_ms": PING_MS,
        }

    async def _pump(self, session: Session, rest: str | bytes | None) -> int:
        """Reads and writes; the first of the two to end ends the other."""
        tasks = [
            asyncio.create_task(self._read(session, rest), name="lockon-reader"),
            asyncio.create_task(self._write(session), name="lockon-writer"),
        ]
        self._watch_credentials()
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if self._watch is not None:
                self._watch.cancel()
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        for task, result in zip(tasks, ended, strict=True):
            if task in done and isinstance(result, WebSocketDisconnect):
                return result.code
            if task in done and isinstance(result, BaseException):
                raise result
        return next(task.result() for task in tasks if task in done)

    def _watch_credentials(self) -> None:
        """Ends the socket soon after a token has expired, or a key was taken away."""
        if not self._access.stands(self._opening.caller):
            self._outbox.put(results.goaway("token_expiring"))
            self._outbox.close(4401, "unauthenticated: the credentials of this socket have ended")
        elif self._access.required:
            self._watch = asyncio.get_running_loop().call_later(CREDENTIALS_CHECK_S, self._watch_credentials)

    async def _read(self, session: Session, rest: str | bytes | None) -> int:
        message = rest
        while True:
            if message is None:
                try:
                    message = await self._receive()
                except WebSocketDisconnect as gone:
                    if gone.code == 1009:
                        session.counters.receive()
                        session.counters.reject(Reason.TOO_BIG)
                    return gone.code
            if not self._left:
                self._take(session, message)
            message = None
            # Messages that came together are there at once: without this, nobody else's turn would come between them.
            await asyncio.sleep(0)

    def _take(self, session: Session, message: str | bytes) -> None:
        try:
            if isinstance(message, bytes):
                session.receive(message, perf_counter())
            else:
                self._text(session, message)
        except Exception:
            # The writer is still there to say so; a reader that just ended would leave the client without a word.
            _log.exception("a message could not be taken", kind="session_failed", session=session.id)
            session.fail()

    def _text(self, session: Session, text: str) -> None:
        now_s = perf_counter()
        try:
            message = _read_text(text)
        except Refused as refused:
            self._outbox.put(results.error(refused.error, refused.detail, fatal=True))
            self._outbox.close(refused.code, f"too_big: {refused.detail}")
        except UnknownType as unknown:
            session.warn("unknown_type", str(unknown), now_s)
        except MessageInvalid as error:
            if error.op is None:
                self._outbox.put(results.error(error.code, str(error), pointer=error.pointer))
            else:
                self._outbox.put(results.refusal(error.op, error.code, str(error), error.pointer))
        else:
            self._act(session, message, now_s)

    def _act(self, session: Session, message: Message, now_s: float) -> None:
        if isinstance(message, Ping):
            self._outbox.put(results.pong(message.n, message.t_ms, round(now_s * 1e3, 3)))
        elif isinstance(message, Bye):
            self._outbox.close(1000, "normal: bye")
            if not message.keep:
                self._registry.close(session, "bye")
        elif isinstance(message, Hello):
            self._outbox.put(results.error("bad_hello", "a socket has one hello", fatal=True))
            self._outbox.close(4400, "bad_hello: a socket has one hello")
        elif not isinstance(message, Pong):
            session.operate(message, now_s)

    async def _write(self, session: Session) -> int:
        limit_s = self._registry.limits.send_timeout_s
        while True:
            item = await self._outbox.get()
            try:
                async with asyncio.timeout(limit_s):
                    if isinstance(item, CloseOrder):
                        # Whoever reads the close frame may attach again at once.
                        self._leave(session)
                        await self._websocket.close(item.code, item.reason)
                        return item.code
                    now_s = perf_counter()
                    if isinstance(item, ResultDraft):
                        self._registry.metrics.sent(now_s - item.done_s)
                        item = session.result(item, now_s)
                    await self._websocket.send_text(encoded(item))
            except TimeoutError:
                # No close frame would get through either; `service.connections` cuts the line when this task ends.
                return 4408

    async def _receive(self) -> str | bytes:
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event["code"], event.get("reason"))
        data: bytes | None = event.get("bytes")
        text: str = event.get("text") or ""
        return text if data is None else data

    async def _refuse(self, refused: Refused) -> int:
        """Ends a socket that has no session, and so no writer."""
        message = results.error(refused.error, refused.detail, fatal=True, pointer=refused.pointer)
        await self._websocket.send_text(encoded(message))
        await self._websocket.close(refused.code, _reason(f"{refused.error}: {refused.detail}"))
        return refused.code

    def _leave(self, session: Session) -> None:
        if self._left:
            return
        self._left = True
        self._registry.metrics.coalesced.inc(self._outbox.coalesced)
        session.detach(perf_counter())
        if self._own and self._registry.ttl_s(session) == 0:
            self._registry.close(session, "socket_closed")


def _says_hello(text: str) -> bool:
    try:
        message = parsed(text) if len(text) <= MAX_TEXT_BYTES else None
    except JsonRefused:
        return False
    return isinstance(message, dict) and message.get("type") == "hello"


def _reason(words: str) -> str:
    """A close frame's reason has at most 123 bytes."""
    return words.encode("ascii", "replace")[:120].decode()


def _read_text(text: str) -> Message:
    if len(text.encode()) > MAX_TEXT_BYTES:
        raise Refused(1009, "too_big", f"a text message has at most {MAX_TEXT_BYTES} bytes")
    return read_message(text)
