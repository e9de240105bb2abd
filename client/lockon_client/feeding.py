"""Takes frames from the caller and hands them out one at a time: newest first, or every one in order."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from lockon_client.images import Frame, checked, encoded, needs_encoding
from lockon_client.windows import Placement

_END = object()


def now_us() -> int:
    """This machine's monotonic clock, microseconds; only differences mean anything."""
    return time.monotonic_ns() // 1000


class Changes:
    """Lets tasks wait until something about shared state holds."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def tell(self) -> None:
        """Wakes every waiting task, to look again."""
        self._event.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Returns once `holds()` is true; nothing is awaited between a look and the wait, so no change is missed."""
        while not holds():
            await self.once()

    async def once(self) -> None:
        """Returns after the next change."""
        self._event.clear()
        await self._event.wait()


@dataclass(frozen=True, slots=True)
class Stamped:
    """A frame and when it was taken: on the clock of `now_us`, or from the start of a recording; None if unknown."""

    frame: Frame
    ts_us: int | None

    async def image(self, placement: Placement | None = None) -> bytes:
        """The compressed image, of an array's window where a placement is given; arrays are encoded in a thread."""
        if not needs_encoding(self.frame):
            return checked(self.frame)
        if placement is None:
            return await asyncio.to_thread(encoded, self.frame)
        size = placement.image_size if placement.scaled else None
        return await asyncio.to_thread(encoded, placement.cut(self.frame), size)


class Feed:
    """One place for the next frame to send, and the task that fills it from the caller's frames.

    `fps`: the frames are those of a recording with so many a second, however fast they come."""

    def __init__(self, changes: Changes, *, every: bool, fps: float | None = None) -> None:
        self._changes = changes
        self._every = every
        self._fps = fps
        self._count = 0
        self._next: Stamped | None = None
        self.exhausted = False
        self.skipped = 0

    @property
    def waiting(self) -> bool:
        """Whether a frame is there to be sent."""
        return self._next is not None

    def take(self) -> Stamped:
        """The frame to send now."""
        assert self._next is not None, "look at `waiting` first"
        stamped, self._next = self._next, None
        self._changes.tell()
        return stamped

    async def fill(self, frames: AsyncIterable[Frame] | Iterable[Frame]) -> None:
        """Reads `frames` to their end. A newer frame replaces one that was not sent yet, unless every frame counts."""
        async for frame in _one_by_one(frames):
            if self._every:
                await self._changes.until(lambda: not self.waiting)
            elif self.waiting:
                self.skipped += 1
            self._next = Stamped(frame, self._stamp())
            self._changes.tell()
        self.exhausted = True
        self._changes.tell()

    def _stamp(self) -> int | None:
        self._count += 1
        if not self._every:
            return now_us()
        return None if self._fps is None else round(self._count * 1e6 / self._fps)


async def _one_by_one(frames: AsyncIterable[Frame] | Iterable[Frame]) -> AsyncIterator[Frame]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
        return
    # A camera's iterator blocks until its next picture, so it is asked in a thread.
    iterator = iter(frames)
    while (item := await asyncio.to_thread(_following, iterator)) is not _END:
        yield item


def _following(iterator: Any) -> Any:
    """The next item, or _END: StopIteration cannot travel through a future."""
    return next(iterator, _END)
