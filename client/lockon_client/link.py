"""The line to the server: one socket after another, so that a broken line is an interruption and not the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from lockon_client import protocol
from lockon_client.connection import closed_error, connected, followed, left
from lockon_client.errors import AnswerTimeout, Busy, ConnectFailed, LockonError, StreamClosed, from_fatal
from lockon_client.feeding import now_us
from lockon_client.line_events import Interrupted, LineEvent, Resumed, StateLost
from lockon_client.messages import (
    Ack,
    Credit,
    Event,
    Failed,
    GoAway,
    Message,
    NewToken,
    Ping,
    Result,
    Warned,
    Welcome,
    parse,
)
from lockon_client.retrying import Retries
from lockon_client.reviving import Remembered
from lockon_client.version import __version__

PROBE_S = 1.5
"""A server that owes an answer and says nothing for so long is asked for a sign of life; for twice as long, the line is
dead."""
MOST_SERVERS = 4
"""To so many servers it goes in a row when each knows a better one."""
FOLLOWED_TIMEOUT_S = 3.0
"""What one server says of another may be out of date: the first address is always left."""
_INTERRUPTIONS = frozenset({"1001", "1006", "1011", "1012", "1013", "4408"})
"""Close codes after which the session may still be there, and ours."""
_PASSING = (Busy, ConnectFailed, StreamClosed, AnswerTimeout)
"""Refusals that may be over a moment later; the others stay what they are."""
_FORGED = "bad_token"
"""What a server says that has never heard of the session: it was restarted, and no server is where that one was."""
_HELD = "session-attached"
"""What the address of a session says at the handshake while the lease of a server that is gone still runs."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where and how sockets are opened. A ticket opens only one, so that there is no second one to go on with."""

    address: str
    timeout_s: float
    key: str | None = None
    ticket: str | None = None


class _Elsewhere(Exception):
    """The server knows one that is better for this stream."""

    def __init__(self, stream_url: str) -> None:
        super().__init__(stream_url)
        self.stream_url = stream_url


class Link:
    """What is said and heard, whichever socket it is.

    `owed` tells whether the server owes an answer, `skipped` how many frames were left out; `on_event` is told of
    interruptions."""

    def __init__(self, door: Door, on_event: Callable[[LineEvent], None] | None) -> None:
        self.welcome: Welcome
        self.online = asyncio.Event()
        self.owed: Callable[[], bool] = lambda: False
        self.skipped: Callable[[], int] = lambda: 0
        self._door = door
        self._address = door.address  # where the next socket is opened first
        self._on_event = on_event
        self._socket: ClientConnection
        self._token: str | None = None
        self._remembered: Remembered | None = None
        self._last_seq: int | None = None
        self._heard = False
        self._leaving: asyncio.TimerHandle | None = None
        self._wait_s: float | None = None  # until the next attempt, where that is known
        self._closing: asyncio.Task[None] | None = None

    async def open(self, create: Mapping[str, Any] | None, *, reinit_on_loss: bool) -> None:
        """The first socket; `create` makes a session, and with `reinit_on_loss` another one if that is lost."""
        if create is not None and reinit_on_loss:
            self._remembered = Remembered(create)
        self.welcome = await self._greeted(protocol.hello(__version__, create))
        self.online.set()

    async def close(self) -> None:
        """Says goodbye."""
        self._stay()
        await left(self._socket)

    def changed(self, settings: Mapping[str, Any]) -> None:
        """The session was made to differ from what it was made with."""
        if self._remembered is not None:
            self._remembered.changed(settings)

    async def send(self, message: str | bytes) -> bool:
        """Sends once there is a socket; False if it broke, and so what became of the message is open.

        Raises AnswerTimeout where the server takes nothing."""
        await self.online.wait()
        return await self.send_at_once(message)

    async def send_at_once(self, message: str | bytes) -> bool:
        """As `send`, for what goes first on a new socket, before `online` is set."""
        try:
            async with asyncio.timeout(self._door.timeout_s):
                await self._socket.send(message)
        except ConnectionClosed:
            return False
        except TimeoutError as error:
            wait = f"{self._door.timeout_s:g} s"
            raise AnswerTimeout(f"the server did not take a message within {wait}") from error
        return True

    async def messages(self) -> AsyncIterator[Message]:
        """Whatever the server says, without what was said on earlier sockets. A Welcome comes with each new socket:
        `online` is to be set when what has to be said first was said.

        Raises LockonError when the line breaks for good."""
        while True:
            try:
                text = str(await self._socket.recv())
            except ConnectionClosed as error:
                yield await self._resumed(closed_error(error))
                continue
            self._heard = True
            message = parse(text, now_us(), self.skipped())
            match message:
                case Ping():
                    await self.send_at_once(protocol.pong(message.n, message.t_ms))
                case NewToken():
                    self._token = message.token
                case GoAway():
                    self._prepare_to_leave(message)
                case Result():
                    if message.epoch >= self.welcome.epoch:
                        self._last_seq = message.seq
                        if self._remembered is not None:
                            self._remembered.saw(message, asyncio.get_running_loop().time())
                        yield message
                case Event():
                    self._tell(message)
                case Welcome() | Credit() | Ack() | Warned() | Failed():
                    yield message

    async def watch(self) -> None:
        """Breaks a line that is dead without a word, as after a pulled cable or in a stopped server."""
        asked = False
        while True:
            self._heard = False
            await asyncio.sleep(PROBE_S)
            if self._heard or not (self.online.is_set() and self.owed()):
                asked = False
            elif asked:
                self._socket.transport.abort()
            else:
                asked = True
                with suppress(ConnectionClosed, TimeoutError):
                    async with asyncio.timeout(PROBE_S):
                        await self._socket.send(protocol.ping(0))

    def _prepare_to_leave(self, message: GoAway) -> None:
        """Another server goes on: leaves this one at a time of our own, so that not all come there at once."""
        if message.reason == "draining":
            self._token = message.token  # without one, the session ends with this server
        if message.token is None or self._door.ticket is not None:
            return
        self._stay()
        after_s = random.uniform(*message.reconnect_after_s)
        self._leaving = asyncio.get_running_loop().call_later(after_s, self._leave, self._socket, message)

    def _leave(self, socket: ClientConnection, message: GoAway) -> None:
        self.online.clear()
        # At a time of our own choice, so that there is nothing to wait for.
        self._wait_s, self._address = 0.0, self._door.address
        if message.stream_url is not None:
            with suppress(ConnectFailed):
                self._address = followed(self._address, message.stream_url)
        # A close without `bye`, upon which the session is kept; the reader notices it.
        self._closing = asyncio.create_task(socket.close(1001))

    def _stay(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            self._leaving = None

    async def _resumed(self, reason: LockonError) -> Welcome:
        """The session's next socket, as soon as there is one; raises StreamClosed, or the reason itself where there is
        nothing to go on with."""
        self._stay()
        if reason.code not in _INTERRUPTIONS or self._next_hello() is None or self._door.ticket is not None:
            raise reason
        self.online.clear()
        self._tell(Interrupted(reason))
        clock = asyncio.get_running_loop().time
        began_s = clock()
        tries = Retries(began_s, self.welcome.resume_ttl_s)
        while True:
            await asyncio.sleep(tries.delay_s(clock(), self._wait_s))
            self._wait_s = None
            hello = self._next_hello()
            if hello is None:
                raise reason
            try:
                self.welcome = await self._greeted(hello)
            except LockonError as error:
                passing = (isinstance(error, _PASSING) and error.code != _FORGED) or error.code == _HELD
                if not passing or tries.is_last:
                    raise _ended(reason, error) from error
            else:
                self._tell(self._went_on(clock() - began_s, tries.made))
                return self.welcome

    def _next_hello(self) -> str | None:
        """What the next socket begins with; None if there is nothing to go on with."""
        create = None
        if self._remembered is not None:
            create = self._remembered.create(asyncio.get_running_loop().time())
        if self._token is not None:
            resume = {"token": self._token, "last_seq": self._last_seq, "epoch": self.welcome.epoch}
            return protocol.hello(__version__, create, resume)
        # A server that stops may take the session with it; whoever wants one that ends with its line has it so.
        return protocol.hello(__version__, create) if create is not None and self.welcome.resume_ttl_s else None

    def _went_on(self, after_s: float, attempts: int) -> Resumed | StateLost:
        if self.welcome.resumed or self._remembered is None:
            return Resumed(self.welcome.epoch, after_s, attempts)
        restarted = self.welcome.targets
        missing = tuple(target for target in self._remembered.targets if target not in restarted)
        return StateLost(self.welcome.session, restarted, missing, after_s, attempts)

    async def _greeted(self, hello: str) -> Welcome:
        """A socket, and the answer to its hello, on the server that the one before, or the first one, leads to."""
        # An address that fails is not tried first again.
        address, self._address = self._address, self._door.address
        for _ in range(MOST_SERVERS):
            try:
                welcome = await self._greeted_at(address, hello)
            except _Elsewhere as elsewhere:
                address = followed(address, elsewhere.stream_url)
            else:
                self._address, self._token = address, welcome.resume_token
                return welcome
        raise Busy(f"{MOST_SERVERS} servers in a row led to another one", "no_capacity")

    async def _greeted_at(self, address: str, hello: str) -> Welcome:
        door = self._door
        first = address == door.address
        timeout_s = door.timeout_s if first else min(door.timeout_s, FOLLOWED_TIMEOUT_S)
        self._socket = await connected(address, timeout_s, door.key, door.ticket)
        welcome: Welcome | None = None
        try:
            async with asyncio.timeout(timeout_s):
                welcome = await self._welcomed(hello)
        except ConnectionClosed as error:
            raise closed_error(error) from error
        except TimeoutError as error:
            raise AnswerTimeout(f"the server did not answer hello within {timeout_s:g} s") from error
        finally:
            if welcome is None:  # nothing is left open, whatever happened
                self._socket.transport.abort()
        return welcome

    async def _welcomed(self, hello: str) -> Welcome:
        await self._socket.send(hello)
        while True:
            message = parse(str(await self._socket.recv()), now_us(), skipped=0)
            if isinstance(message, Welcome):
                return message
            if isinstance(message, Failed) and message.stream_url is not None and self._door.ticket is None:
                raise _Elsewhere(message.stream_url)
            if isinstance(message, Failed):
                self._wait_s = message.retry_after_s
                raise from_fatal(message.code, message.detail)

    def _tell(self, event: LineEvent) -> None:
        if self._on_event is not None:
            self._on_event(event)


def _ended(reason: LockonError, refusal: LockonError) -> StreamClosed:
    """The error for a line that broke for that reason, and a session that could not be gone on with."""
    return StreamClosed(f"{reason.detail}; the session could not be resumed: {refusal}", reason.code)
