"""What waits to be sent on one socket: a slot for the newest result, a bounded queue for all that must arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from service.engine.jobs import Timings
from service.protocol.results import Payload


@dataclass(slots=True)
class ResultDraft:
    """A result but for what is known only when it is sent. Times in seconds of the monotonic clock."""

    seq: int
    ts_us: int | None
    received_s: float
    excess_s: float
    done_s: float
    targets: list[Payload]
    timings: Payload | None
    next: Payload | None
    stages: Timings | None = None
    size: int = 0
    """bytes of the image"""


@dataclass(frozen=True, slots=True)
class CloseOrder:
    """The end of a socket: close code and reason `code: words`."""

    code: int
    reason: str


Item = Payload | ResultDraft | CloseOrder


class Outbox:
    """Filled by the session, emptied by the socket's writer; a client that reads slowly loses results, never memory."""

    def __init__(self, max_control: int) -> None:
        self._max_control = max_control
        self._queue: list[Item] = []  # a deque takes 0.7 KB while it is empty, and this one is short
        self._result: ResultDraft | None = None
        self._idle: asyncio.Future[None] | None = None  # of a writer that waits for something to send
        self._closed = False
        self.send_now: Callable[[ResultDraft], bool] | None = None
        """Sends a result past the writer, while that has nothing to do; False: it has to wait for the writer"""
        self.coalesced = 0

    def __len__(self) -> int:
        return len(self._queue) + (self._result is not None)

    def put(self, item: Payload | ResultDraft) -> None:
        """A message that must arrive. If too many wait, the client is too slow and the socket is closed."""
        if self._closed or (isinstance(item, ResultDraft) and self._sent(item)):
            return
        if len(self._queue) >= self._max_control:
            self._queue.clear()
            self._result = None
            self.close(4408, f"slow_consumer: {self._max_control} messages wait to be read")
            return
        if isinstance(item, ResultDraft) and self._result is not None:
            # An ordinary result that still waits is older, and results come in the order of their frames.
            self._queue.append(self._result)
            self._result = None
        self._queue.append(item)
        self._wake()

    def put_newest(self, result: ResultDraft) -> None:
        """A result that replaces one which has not been sent yet."""
        if self._closed or self._sent(result):
            return
        self.coalesced += self._result is not None
        self._result = result
        self._wake()

    def _sent(self, result: ResultDraft) -> bool:
        """Whether a result that nothing waits before has been sent at once."""
        return self._idle is not None and not self and self.send_now is not None and self.send_now(result)

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def drop_results(self) -> None:
        """Forgets the results that wait."""
        self._queue = [item for item in self._queue if not isinstance(item, ResultDraft)]
        self._result = None

    def close(self, code: int, reason: str) -> None:
        """Nothing comes after this; what already waits is still sent."""
        if self._closed:
            return
        self._closed = True
        self._queue.append(CloseOrder(code, reason))
        self._wake()

    async def get(self) -> Item:
        """The next thing to send, as soon as there is one."""
        while not self:
            self._idle = asyncio.get_running_loop().create_future()
            try:
                await self._idle
            finally:
                self._idle = None
        if self._result is not None and (not self._queue or isinstance(self._queue[0], CloseOrder)):
            result, self._result = self._result, None
            return result
        return self._queue.pop(0)
