"""`Track`: an open stream, the results for its frames, and its targets."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from lockon_client import protocol
from lockon_client.errors import AnswerTimeout, FrameRejected, TargetRefused, from_fatal
from lockon_client.feeding import Changes, Feed
from lockon_client.images import Frame
from lockon_client.link import Link
from lockon_client.messages import Ack, Credit, Failed, Message, Result, Warned, Welcome
from lockon_client.protocol import Thresholds
from lockon_client.windows import Windows

BoxLike = Sequence[float]

GIVE_UP_S = 2.0
"""A live frame without an answer for so long holds up no other: the server does not tell of every drop."""
_UNLIMITED = 2**31
_OF_CREATE = "/create/targets/"
"""What errors name that are about the targets with which a session is made, once their frame is there."""


class Track:
    """An open stream; made by `track()`."""

    def __init__(
        self,
        link: Link,
        group: asyncio.TaskGroup,
        *,
        every: bool,
        fps: float | None = None,
        send_window: bool = False,
        timeout_s: float,
    ) -> None:
        self._link = link
        self._group = group
        self._every = every
        self._timeout_s = timeout_s
        self._changes = Changes()
        self._most = protocol.SENDING_WINDOWS if send_window else _UNLIMITED
        self._window = protocol.FrameWindow(self._places(link.welcome.credit))
        self._windows = Windows(wanted=send_window)
        self._feed = Feed(self._changes, every=every, fps=fps)
        self._results: deque[Result] = deque()  # never longer than the window grows by operations in one step
        self._acks: dict[str, asyncio.Future[Ack]] = {}
        self._unacknowledged: dict[str, str] = {}
        self._unanswered: dict[int, bytes] = {}  # never more than the window: every frame counts, so they go out again
        self._operations = 0
        self._named = bool(link.welcome.targets)
        self._fed = False
        self._failure: Exception | None = None
        self._heard_at = asyncio.get_running_loop().time()
        link.owed = lambda: bool(self._window.unanswered)
        link.skipped = lambda: self.skipped
        self._tasks = [group.create_task(self._guarded(work)) for work in (self._read, link.watch)]

    @property
    def welcome(self) -> Welcome:
        """What the server said when the present socket was opened."""
        return self._link.welcome

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

        Ends after the last frame's result. Raises LockonError when the server refuses or the connection ends, as
        TargetRefused for a box outside the first frame, and whatever `frames` itself raises.
        """
        if self._fed:
            raise RuntimeError("results() was called before; one stream takes one series of frames")
        self._fed = True
        tasks = [self._start(partial(self._feed.fill, frames)), self._start(self._send_frames)]
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

        Raises TargetRefused with the server's reason. After AnswerTimeout it may take effect all the same.
        """
        self._named = True
        return await self._operate("target.add", _placed(box, id, on_seq, label))

    async def update(self, id: str, box: BoxLike, *, on_seq: int | None = None) -> Ack:
        """Starts the target anew at `box`; as in `add`."""
        return await self._operate("target.update", _placed(box, id, on_seq, None))

    async def remove(self, id: str) -> None:
        """Forgets a target."""
        await self._operate("target.remove", {"id": id})

    async def change(self, **settings: Any) -> None:
        """Changes settings of the session from the next frame on, those of `session.update` in the protocol: `max_fps`,
        `deadline_ms`, `cadence`, `thresholds`, `label` ...; None takes one away.

        `model=..., reinit=True` goes on with another model, which starts every target anew from its last box; one that
        is lost is followed no more. Raises TargetRefused with the server's reason."""
        if "mode" in settings:
            raise ValueError("whether every frame counts is settled when the stream is opened")
        if isinstance(thresholds := settings.get("thresholds"), Thresholds):
            settings["thresholds"] = thresholds.body()
        await self._operate("session.update", settings)
        self._link.changed(settings)
        self._windows.forget()

    def stop(self) -> None:
        """Ends the stream's tasks; `track()` calls it."""
        for task in self._tasks:
            task.cancel()

    def _start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
        task = self._group.create_task(self._guarded(work))
        self._tasks.append(task)
        return task

    async def _guarded(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Runs a task of the stream; what it raises reaches the caller of results() or of an operation.

        The work is made here: a stream that is left at once cancels its tasks before they begin."""
        try:
            await work()
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
            await self._link.online.wait()
            if self._every:
                self._unanswered[seq] = message
            await self._link.send_at_once(message)

    async def _room(self) -> None:
        """Returns when there is a frame and it may be sent, or when no more will come."""
        given_up = 0

        def known() -> bool:
            if not self._feed.waiting:
                return self._feed.exhausted
            return self._window.has_room(given_up)

        while not known():
            try:
                async with asyncio.timeout(None if self._every or not self._window.unanswered else GIVE_UP_S):
                    await self._changes.until(known)
            except TimeoutError:
                given_up += 1

    async def _operate(self, kind: str, target: Mapping[str, Any]) -> Ack:
        if self._failure is not None:
            raise self._failure
        self._operations += 1
        op = f"op{self._operations}"
        waiting = self._acks[op] = asyncio.get_running_loop().create_future()
        self._window.operation_begins(op)
        self._changes.tell()
        try:
            async with asyncio.timeout(self._timeout_s):
                text = protocol.target_operation(kind, op, target)
                await self._link.online.wait()
                self._unacknowledged[op] = text
                await self._link.send_at_once(text)
                ack: Ack = await waiting
        except TimeoutError as error:
            raise AnswerTimeout(f"no answer to {kind} within {self._timeout_s:g} s; are frames being sent?") from error
        finally:
            del self._acks[op]
            self._window.operation_ends(op)
            self._unacknowledged.pop(op, None)
        if not ack.ok:
            raise TargetRefused(ack.detail or ack.code, ack.code)
        return ack

    # Receiving

    async def _read(self) -> None:
        async for message in self._link.messages():
            if isinstance(message, Welcome):
                self._window.size = self._places(message.credit)
                await self._go_on(message)
            else:
                self._take(message)
            self._changes.tell()

    async def _go_on(self, welcome: Welcome) -> None:
        """On a new socket, first what the server may not have got on the one before. What it has had already, it
        answers by itself."""
        self._heard_at = asyncio.get_running_loop().time()
        self._windows.forget()
        for text in self._unacknowledged.values():
            await self._link.send_at_once(text)
        if not self._every:
            self._window.lost()
        for seq, message in list(self._unanswered.items()):
            if seq > (welcome.last_seq or 0):
                await self._link.send_at_once(message)
        self._link.online.set()

    def _places(self, credit: Credit) -> int:
        """How many frames may be under way."""
        return min(credit.must if self._every else credit.frames, self._most)

    def _take(self, message: Message) -> None:
        match message:
            case Credit():
                self._window.size = self._places(message)
                if message.done_seq is not None and not self._every:
                    self._window.done(message.done_seq)
            case Result() if self._window.expects(message.seq):
                self._heard_at = asyncio.get_running_loop().time()
                passed_over = self._window.answered(message.seq)
                self._unanswered = {seq: sent for seq, sent in self._unanswered.items() if seq > message.seq}
                self._windows.learn(message.seq, message.next)
                # A recording's time is not that of our clock.
                self._results.append(replace(message, true_age_ms=None) if self._every else message)
                if self._every and passed_over:
                    raise FrameRejected(f"frame {passed_over[0]} got no result{self._why}", seq=passed_over[0])
            case Ack(op=op) if op in self._acks and not self._acks[op].done():
                self._acks[op].set_result(message)
            case Warned():
                self._warned(message)
            case Failed(fatal=True):
                raise from_fatal(message.code, message.detail)
            case Failed(pointer=str(pointer)) if pointer.startswith(_OF_CREATE):
                raise TargetRefused(f"{message.detail} ({pointer.removeprefix('/create')})", message.code)
            case Failed(seq=int(seq)):
                self._refused(seq, message.detail, message.code)

    def _warned(self, message: Warned) -> None:
        if message.code.startswith("frame_rejected"):
            self._windows.forget()  # the next one would fare no better, if it was one
        if message.seq is not None:
            self._refused(message.seq, message.detail, message.code)

    def _refused(self, seq: int, detail: str, code: str) -> None:
        self._window.refused(seq)
        self._unanswered.pop(seq, None)
        if self._every:
            raise FrameRejected(detail or f"frame {seq} was refused", code, seq)

    async def _next_result(self) -> Result | None:
        """The next result in order; None after the last one."""
        try:
            async with asyncio.timeout(None) as limit:
                while not (self._results or self._failure or self._all_answered()):
                    waits = self._window.unanswered and self._link.online.is_set()
                    limit.reschedule(self._heard_at + self._timeout_s if waits else None)
                    await self._changes.once()
        except TimeoutError as error:
            # A live server may leave the very last frame out without a word; that is no reason to fail.
            if self._feed.exhausted and not self._every:
                return None
            raise AnswerTimeout(f"no result within {self._timeout_s:g} s{self._why}") from error
        if self._results:
            self._window.read()
            self._changes.tell()
            return self._results.popleft()
        if self._failure is not None:
            raise self._failure
        return None

    @property
    def _why(self) -> str:
        """Why there is no result, where that is known: most frames get none without targets."""
        return "" if self._named else ": the session follows nothing; give box or targets, or add() a target first"

    def _all_answered(self) -> bool:
        return self._feed.exhausted and not self._feed.waiting and self._window.unanswered == 0


def _placed(box: BoxLike, target_id: str | None, on_seq: int | None, label: str | None) -> dict[str, Any]:
    request = protocol.target_request(box, target_id, label, on_seq)
    return {"on_seq": "next"} | request
