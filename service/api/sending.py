"""An end to sends that nobody takes."""

from __future__ import annotations

import asyncio
from time import perf_counter


class SendLimit:
    """Cancels the task that made it when one of its sends takes longer than `limit_s`.

    Almost every send is over at once. So there is one timer, set anew only after it has gone off, and not one for each
    send."""

    def __init__(self, limit_s: float) -> None:
        self.over = False
        self._limit_s = limit_s
        self._task: asyncio.Task[object] | None = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._began_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, now_s: float) -> None:
        """A send begins now, on `perf_counter`."""
        self._began_s = now_s
        if self._timer is None:
            self._timer = self._loop.call_later(self._limit_s, self._look)

    def end(self) -> None:
        """The send is over."""
        self._began_s = None

    def close(self) -> None:
        """Nothing is sent any more."""
        self._task = None  # it keeps what it was cancelled with, which keeps its frames, which keep this
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._began_s is None:
            return
        left_s = self._began_s + self._limit_s - perf_counter()
        if left_s > 0:
            self._timer = self._loop.call_later(left_s, self._look)
        elif self._task is not None:
            self.over = True
            self._task.cancel()
