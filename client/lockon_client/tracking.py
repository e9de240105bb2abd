"""`track()`: a stream to a Lockon server as an asynchronous context manager, and the results for its frames."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from lockon_client import protocol
from lockon_client.connection import closed_error, opened, stream_url
from lockon_client.errors import AnswerTimeout, FrameRejected, TargetRefused, from_fatal
from lockon_client.feeding import Changes, Feed, now_us
from lockon_client.images import Frame
from lockon_client.messages import Ack, Failed, Message, Ping, Result, Warned, Welcome, parse
from lockon_client.version import __version__
from lockon_client.windows import Windows

BoxLike = Sequence[float]

GIVE_UP_S = 2.0
"""A live frame without an answer for so long holds up no other: the server tells of drops at most every few seconds."""


@asynccontextmanager
async def track(
    url: str,
    box: BoxLike | None = None,
    *,
    targets: Mapping[str, BoxLike] | None = None,
    model: str | None = None,
    every: bool = False,
    key: str | None = None,
    ticket: str | None = None,
    send_window: bool = False,
    timeout_s: float = 10.0,
) -> AsyncIterator[Track]:
    """A stream on which targets are followed.

    `url` is the server (`ws://127.0.0.1:8000`) or the `stream_url` of a session made by REST. `box` is x, y, w, h
    of one target in the first frame; `targets` names several. `model` is one of the server's models, None its default.

    `every=False` is for cameras: the newest frame wins and the others are skipped, so that results are never old.
    `every=True` is for recordings: each frame gets its result. `timeout_s` bounds every wait for the server.

    `key` is an API key or a token, where the server asks for one; `ticket` a single-use ticket instead.

    `send_window=True` sends only the part of each frame that the tracker will look at, and whole frames whenever that
    will not do; `Track.saved_bytes` says what it saved. It needs arrays: compressed images are sent as they are.
    """
    address = stream_url(url)
    requests = [protocol.target_request(wanted, target_id) for target_id, wanted in (targets or {}).items()]
    if box is not None:
        requests.append(protocol.target_request(box))
    makes_session = "/sessions/" not in address
    if requests and not makes_session:
        raise ValueError("this session exists already: open it without box and targets, then add() them")
    create = protocol.create_request(model, requests, every=every) if makes_session else None
    failure: Exception | None = None
    async with opened(address, timeout_s, key, ticket) as socket:
        welcome = await _greeted(socket, protocol.hello(__version__, create), timeout_s)
        async with asyncio.TaskGroup() as group:
            stream = Track(socket, group, welcome, every=every, send_window=send_window, timeout_s=timeout_s)
            try:
                yield stream
            except Exception as error:
                failure = error
            finally:
                stream.stop()
    if failure is not None:
        raise failure


async def _greeted(socket: ClientConnection, hello: str, timeout_s: float) -> Welcome:
    try:
        async with asyncio.timeout(timeout_s):
            await socket.send(hello)
            while True:
                message = parse(str(await socket.recv()), now_us(), skipped=0)
                if isinstance(message, Welcome):
                    return message
                if isinstance(message, Failed):
                    raise from_fatal(message.code, message.detail)
    except ConnectionClosed as error:
        raise closed_error(error) from error
    except TimeoutError as error:
        raise AnswerTimeout(f"the server did not answer hello within {timeout_s:g} s") from error


class Track:
    """An open stream; made by `track()`."""

    def __init__(
        self,
        socket: ClientConnection,
        group: asyncio.TaskGroup,
        welcome: Welcome,
        *,
        every: bool,
        send_window: bool = False,
        timeout_s: float,
    ) -> None:
        self.welcome = welcome
        self._socket = socket
        self._group = group
        self._every = every
        self._timeout_s = timeout_s
        self._changes = Changes()
        # The target must not have left the window by the time it is looked at.
        far_ahead = every and not send_window
        self._window = protocol.FrameWindow(protocol.EVERY_WINDOW if far_ahead else protocol.LIVE_WINDOW)
        self._windows = Windows(wanted=send_window)
        self._feed = Feed(self._changes, every=every)
        self._results: deque[Result] = deque()  # never longer than the window
        self._acks: dict[str, asyncio.Future[Ack]] = {}
        self._operations = 0
        self._fed = False
        self._failure: Exception | None = None
        self._heard_at = asyncio.get_running_loop().time()
        self._tasks = [group.create_task(self._guarded(self._read()))]

    @property
    def skipped(self) -> int:
        """Frames that were not sent because a newer one came first."""
        return self._feed.skipped

    @property
    def saved_bytes(self) -> int:
        """About how many bytes windows have saved: each counts as what the last whole frame took more."""
        return self._windows.saved_bytes

    async def results(self, frames: AsyncIterable[Frame] | Iterable[Frame]) -> AsyncIterator[Result]:
        """Sends `frames` (JPEG, PNG or WebP bytes, or BGR arrays if OpenCV is installed) and yields results.

        Ends after the last frame's result. Raises LockonError when the server refuses or the connection ends,
        and whatever `frames` itself raises.
        """
        if self._fed:
            raise RuntimeError("results() was called before; one stream takes one series of frames")
        self._fed = True
        tasks = [self._start(self._feed.fill(frames)), self._start(self._send_frames())]
        try:
            while (result := await self._next_result()) is not None:
                yield result
        finally:
            for task in tasks:
                task.cancel()

    async def add(
        self, box: BoxLike, *, id: str | None = None, on_seq: int | None = None, label: str | None = None
    ) -> Ack:
        """Follows one more target. `box` was seen in the frame of result `on_seq`; None means the next frame.

        Raises TargetRefused with the server's reason.
        """
        return await self._operate("target.add", _placed(box, id, on_seq, label))

    async def update(self, id: str, box: BoxLike, *, on_seq: int | None = None) -> Ack:
        """Starts the target anew at `box`; as in `add`."""
        return await self._operate("target.update", _placed(box, id, on_seq, None))

    async def remove(self, id: str) -> None:
        """Forgets a target."""
        await self._operate("target.remove", {"id": id})

    def stop(self) -> None:
        """Ends the stream's tasks; `track()` calls it."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = self._group.create_task(self._guarded(work))
        self._tasks.append(task)
        return task

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        """Runs a task of the stream; what it raises reaches the caller of results() or of an operation."""
        try:
            await work
        except ConnectionClosed as error:
            self._fail(closed_error(error))
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        # The first reason is the true one: a close that follows a fatal error says less.
        self._failure = self._failure or error
        for waiting in self._acks.values():
            if not waiting.done():
                waiting.set_exception(self._failure)
        self._changes.tell()

    # Sending

    async def _send_frames(self) -> None:
        feed = self._feed
        while True:
            await self._room()
            if not feed.waiting:
                return
            if not self._window.unanswered:
                self._heard_at = asyncio.get_running_loop().time()
            stamped, seq = feed.take(), self._window.sent()
            placement = self._windows.placement(stamped.frame, starting=bool(self._acks))
            image = await stamped.image(placement)
            self._windows.sent(seq, stamped.frame, placement, len(image))
            message = protocol.encode_frame(image, seq, stamped.ts_us, must_process=self._every, placement=placement)
            await self._send(message)

    async def _room(self) -> None:
        """Returns when there is a frame and it may be sent, or when no more will come."""
        given_up = 0

        def known() -> bool:
            if not self._feed.waiting:
                return self._feed.exhausted
            return self._window.has_room(len(self._acks), given_up)

        while not known():
            try:
                async with asyncio.timeout(None if self._every or not self._window.unanswered else GIVE_UP_S):
                    await self._changes.until(known)
            except TimeoutError:
                given_up += 1

    async def _send(self, message: str | bytes) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._socket.send(message)
        except TimeoutError as error:
            raise AnswerTimeout(f"the server did not take a message within {self._timeout_s:g} s") from error

    async def _operate(self, kind: str, target: Mapping[str, Any]) -> Ack:
        if self._failure is not None:
            raise self._failure
        self._operations += 1
        op = f"op{self._operations}"
        waiting = self._acks[op] = asyncio.get_running_loop().create_future()
        self._changes.tell()
        try:
            await self._send(protocol.target_operation(kind, op, target))
            async with asyncio.timeout(self._timeout_s):
                ack: Ack = await waiting
        except ConnectionClosed as error:
            raise closed_error(error) from error
        except TimeoutError as error:
            raise AnswerTimeout(f"no answer to {kind} within {self._timeout_s:g} s; are frames being sent?") from error
        finally:
            del self._acks[op]
        if not ack.ok:
            raise TargetRefused(ack.detail or ack.code, ack.code)
        return ack

    # Receiving

    async def _read(self) -> None:
        while True:
            text = await self._socket.recv()
            message = parse(str(text), now_us(), self.skipped)
            if isinstance(message, Ping):
                await self._send(protocol.pong(message.n, message.t_ms))
            elif message is not None:
                self._take(message)
                self._changes.tell()

    def _take(self, message: Message) -> None:
        match message:
            case Result() if self._window.expects(message.seq):
                self._heard_at = asyncio.get_running_loop().time()
                passed_over = self._window.answered(message.seq)
                self._windows.learn(message.seq, message.next)
                self._results.append(message)
                if self._every and passed_over:
                    raise FrameRejected(f"frame {passed_over[0]} got no result", seq=passed_over[0])
            case Ack(op=op) if op in self._acks and not self._acks[op].done():
                self._acks[op].set_result(message)
            case Warned(seq=int(seq)):
                self._refused(seq, message.detail, message.code)
            case Failed(fatal=True):
                raise from_fatal(message.code, message.detail)
            case Failed(seq=int(seq)):
                self._refused(seq, message.detail, message.code)

    def _refused(self, seq: int, detail: str, code: str) -> None:
        self._window.refused(seq)
        if self._every:
            raise FrameRejected(detail or f"frame {seq} was refused", code, seq)

    async def _next_result(self) -> Result | None:
        """The next result in order; None after the last one."""
        try:
            async with asyncio.timeout(None) as limit:
                while not (self._results or self._failure or self._all_answered()):
                    limit.reschedule(self._heard_at + self._timeout_s if self._window.unanswered else None)
                    await self._changes.once()
        except TimeoutError as error:
            # A live server may leave the very last frame out without a word; that is no reason to fail.
            if self._feed.exhausted and not self._every:
                return None
            raise AnswerTimeout(f"no result within {self._timeout_s:g} s") from error
        if self._results:
            self._window.read()
            self._changes.tell()
            return self._results.popleft()
        if self._failure is not None:
            raise self._failure
        return None

    def _all_answered(self) -> bool:
        return self._feed.exhausted and not self._feed.waiting and self._window.unanswered == 0


def _placed(box: BoxLike, target_id: str | None, on_seq: int | None, label: str | None) -> dict[str, Any]:
    request = protocol.target_request(box, target_id, label, on_seq)
    return {"on_seq": "next"} | request
