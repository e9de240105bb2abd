"""An open socket: one task reads and never waits for a worker, one task sends."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from time import perf_counter

import structlog
from fastapi import WebSocket
from starlette.websockets import WebSocketDisconnect

from service.api.attaching import Attached, Attaching, Refused, read_text
from service.api.handshake import Opening
from service.api.sending import SendLimit
from service.connections import LINE, BoundedProtocol
from service.engine.fleet import Fleet
from service.engine.outbox import CloseOrder, Outbox, ResultDraft
from service.engine.registry import Registry
from service.engine.resume import Resumption
from service.engine.session import Session
from service.protocol import results
from service.protocol.header import Reason
from service.protocol.messages import Bye, Hello, Message, MessageInvalid, Ping, Pong, SessionUpdate, UnknownType
from service.protocol.results import Payload, encoded, encoded_bytes
from service.security.access import Access
from service.security.principals import Scope
from service.telemetry.traces import SocketTrace, Traces

CREDENTIALS_CHECK_S = 2.0
SOON_S = 60.0
"""So long before its token expires a socket is told."""

_log = structlog.get_logger("lockon.stream")


class Connection:
    """One socket and the session it is attached to."""

    def __init__(self, websocket: WebSocket, registry: Registry, opening: Opening) -> None:
        self._websocket = websocket
        self._registry = registry
        self._opening = opening
        self._access: Access = websocket.app.state.access
        self._outbox = Outbox(registry.limits.outbound_queue)
        self._resumption: Resumption = websocket.app.state.resumption
        fleet: Fleet = websocket.app.state.fleet
        self._attaching = Attaching(registry, self._resumption, fleet, opening, self._outbox)
        self.session: Session | None = None
        self.epoch = 0
        self.client = ""
        self._trace: SocketTrace | None = None
        self._own = False
        self._left = False
        self._expiry_told = False
        self._watch: asyncio.TimerHandle | None = None
        self._line: BoundedProtocol | None = websocket.scope["extensions"].get(LINE)

    async def run(self, session: Session | None) -> int:
        """Hello, then reading and writing until either ends; returns the close code."""
        try:
            async with asyncio.timeout(self._registry.limits.hello_timeout_s):
                first = await self._receive()
            attached = await self._attaching.attached(first, session)
        except TimeoutError:
            return await refuse(self._websocket, Refused(4408, "timeout", "no hello in time"))
        except Refused as refused:
            return await refuse(self._websocket, refused)
        self._own = attached.own
        self.session, self.epoch, self.client = attached.session, attached.session.epoch, attached.client
        self._trace = self._traced(attached)
        code = 1006
        try:
            code = await self._pump(attached.session, attached.rest)
        finally:
            self._leave(attached.session)
            if self._trace is not None:
                self._trace.end(code)
        return code

    def _traced(self, attached: Attached) -> SocketTrace | None:
        traces: Traces | None = self._websocket.app.state.traces
        if traces is None:
            return None
        return traces.attached(attached.session, self._websocket.headers.get("traceparent", attached.trace))

    @property
    def trace_id(self) -> str | None:
        """The trace of the frames of this socket, if there is one."""
        return self._trace.trace_id if self._trace is not None else None

    async def _pump(self, session: Session, rest: str | bytes | None) -> int:
        """Reads and writes; the first of the two to end ends the other."""
        reader = asyncio.create_task(self._read(session, rest), name="lockon-reader")
        writer = asyncio.create_task(self._write(session), name="lockon-writer")
        self._watch_credentials()
        try:
            await asyncio.wait((reader, writer), return_when=asyncio.FIRST_COMPLETED)
            if writer.done() and isinstance(writer.exception(), WebSocketDisconnect):
                # The peer's own code lies behind what the reader has not read yet.
                await asyncio.wait((reader,), timeout=self._registry.limits.send_timeout_s)
            done = [task for task in (reader, writer) if task.done()]
        finally:
            if self._watch is not None:
                self._watch.cancel()
            for task in (reader, writer):
                task.cancel()
            self._outbox.send_now = None
            if self._line is not None:
                self._line.divert(None)
                self._line = None
            await asyncio.gather(reader, writer, return_exceptions=True)
        try:
            return done[0].result()
        except WebSocketDisconnect as gone:
            return gone.code

    def _watch_credentials(self) -> None:
        """Ends the socket soon after a token has expired, or a key was taken away."""
        if not self._access.stands(self._opening.caller):
            # Not with a resume token: it is of no use without credentials.
            self._outbox.put(results.goaway("token_expiring"))
            self._outbox.close(4401, "unauthenticated: the credentials of this socket have ended")
        elif self._access.required:
            self._tell_expiry()
            self._watch = asyncio.get_running_loop().call_later(CREDENTIALS_CHECK_S, self._watch_credentials)

    def _tell_expiry(self) -> None:
        """Once, while there is time to get another token and to go on with that."""
        expires_s = self._opening.caller.expires_s
        left_s = None if expires_s is None else expires_s - time.time()
        if left_s is not None and left_s < SOON_S and not self._expiry_told:
            self._expiry_told = True
            detail = "the token of this socket expires soon: resume on another one with a new token"
            self._outbox.put(results.warning("soon_expiring", detail, expires_in_ms=max(0, round(left_s * 1e3))))

    async def _read(self, session: Session, rest: str | bytes | None) -> int:
        if rest is not None:
            self._take(session, rest)
        if self._line is not None:
            self._line.divert(partial(self._take, session))
            self._outbox.send_now = partial(self._send_now, session)
        while True:
            try:
                message = await self._receive()
            except WebSocketDisconnect as gone:
                if gone.code == 1009:
                    session.counters.receive()
                    session.counters.reject(Reason.TOO_BIG)
                return gone.code
            self._take(session, message)
            # Messages that came together are there at once: without this, nobody else's turn would come between them.
            await asyncio.sleep(0)

    def _take(self, session: Session, message: str | bytes) -> None:
        if self._left or session.outbox is not self._outbox:
            return
        session.confirm()
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
            message = read_text(text)
        except Refused as refused:
            self._outbox.put(results.error(refused.error, refused.detail, fatal=True))
            self._outbox.close(refused.code, f"too_big: {refused.detail}")
        except UnknownType as unknown:
            session.answers.warn("unknown_type", str(unknown), now_s)
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
        elif isinstance(message, SessionUpdate) and (fixed := self._fixed(message)):
            detail = f"only those who may change sessions over REST may change {fixed[0]} of this one"
            self._outbox.put(results.refusal(message.op, "not_allowed", detail, f"/{fixed[0]}"))
        elif not isinstance(message, Pong):
            session.operate(message, now_s)

    def _fixed(self, update: SessionUpdate) -> list[str]:
        """The settings that are not this caller's to change: those of a session that somebody else has made, or that
        the ticket says."""
        if Scope.SESSIONS in self._opening.caller.scopes:
            return []
        pinned = self._opening.pinned.model_fields_set if self._opening.pinned is not None else frozenset()
        return [name for name in update.named if not self._own or name in pinned]

    async def _write(self, session: Session) -> int:
        limit = SendLimit(self._registry.limits.send_timeout_s)
        try:
            while True:
                item = await self._outbox.get()
                if isinstance(item, ResultDraft) and not await self._resumption.holds(session):
                    continue  # another server answers this session's frames now
                now_s = perf_counter()
                limit.begin(now_s)
                if isinstance(item, CloseOrder):
                    # Whoever reads the close frame may attach again at once.
                    self._leave(session)
                    await self._websocket.close(item.code, item.reason)
                    return item.code
                await self._send(session, item, now_s)
                limit.end()
        except asyncio.CancelledError:
            if not limit.over:
                raise
            # No close frame would get through either; `service.connections` cuts the line when this task ends.
            return 4408
        finally:
            limit.close()

    def _send_now(self, session: Session, result: ResultDraft) -> bool:
        """Sends a result past the writer, if nothing has to be waited for."""
        if self._line is None or not self._line.ready or not self._resumption.surely_holds(session):
            return False
        now_s = perf_counter()
        self._line.send_now(encoded_bytes(session.answers.payload(result, session.epoch, now_s)))
        self._registry.metrics.sent(now_s - result.done_s)
        if self._trace is not None:
            self._trace.answered(result, perf_counter())
        return True

    async def _send(self, session: Session, item: Payload | ResultDraft, now_s: float) -> None:
        try:
            await self._sent(session, item, now_s)
        except WebSocketDisconnect:
            raise
        except Exception:
            # The writer is still there to say so: a socket that just ended would leave the client without a word.
            _log.exception("a message could not be sent", kind="session_failed", session=session.id)
            session.fail()

    async def _sent(self, session: Session, item: Payload | ResultDraft, now_s: float) -> None:
        if not isinstance(item, ResultDraft):
            await self._websocket.send_text(encoded(item))
            return
        self._registry.metrics.sent(now_s - item.done_s)
        await self._websocket.send_text(encoded(session.answers.payload(item, session.epoch, now_s)))
        if self._trace is not None:
            self._trace.answered(item, perf_counter())

    async def _receive(self) -> str | bytes:
        event = await self._websocket.receive()
        if event["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(event["code"], event.get("reason"))
        data: bytes | None = event.get("bytes")
        text: str = event.get("text") or ""
        return text if data is None else data

    def _leave(self, session: Session) -> None:
        if self._left:
            return
        self._left = True
        self._registry.metrics.coalesced.inc(self._outbox.coalesced)
        if session.outbox is not self._outbox:  # another socket has it now
            return
        session.detach(perf_counter())
        self._resumption.left()
        if self._own and self._registry.ttl_s(session) == 0:
            self._registry.close(session, "socket_closed")


async def refuse(websocket: WebSocket, refused: Refused) -> int:
    """Ends a socket that has no session, and so no writer; returns the close code."""
    await websocket.send_text(encoded(refused.message()))
    await websocket.close(refused.code, _reason(f"{refused.error}: {refused.detail}"))
    return refused.code


def _reason(words: str) -> str:
    """A close frame's reason has at most 123 bytes."""
    return words.encode("ascii", "replace")[:120].decode()
