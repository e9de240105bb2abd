"""Waiting for what comes in its own time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

TIMEOUT_S = 20.0


async def until(condition: Callable[[], bool]) -> None:
    """Lets everything else go on until the condition holds; TimeoutError if that takes too long."""
    async with asyncio.timeout(TIMEOUT_S):
        # Conditions of threads and of other event loops, which can set no Event of this one.
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)
