"""Tasks that run for as long as the server does. None of them ends by itself: one that did makes the server unfit."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

CANCELLED_AGAIN_S = 0.5

_log = structlog.get_logger("lockon.engine")


class Background:
    """Starts them, notices when one dies, and ends them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._died = False

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Runs that work until `stop`."""
        task = asyncio.create_task(work, name=f"lockon-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def trouble(self) -> str | None:
        """What is wrong; None while all of them run."""
        return "task_died" if self._died else None

    async def stop(self) -> None:
        """Ends all of them."""
        while self._tasks:
            # Once more where a library on the way took it for something of its own.
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(list(self._tasks), timeout=CANCELLED_AGAIN_S)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        self._died = True
        _log.error("a task of the server died", kind="task_died", task=task.get_name(), exc_info=task.exception())
