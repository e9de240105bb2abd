"""What a session keeps: a slot for the newest frame, a bounded queue of must-process frames, a ring of recent ones."""

from __future__ import annotations

from collections.abc import Iterator

from service.protocol.header import Frame


class QueueFull(ValueError):
    """The queue of must-process frames has no room; the frame was not taken."""


class Backlog:
    """Frames that wait for a worker, at most one ordinary one and `max_frames` / `max_bytes` must-process ones."""

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._newest: Frame | None = None
        self._must: list[Frame] = []  # a deque takes 0.7 KB while it is empty, and this one is short
        self._must_bytes = 0

    def __len__(self) -> int:
        return len(self._must) + (self._newest is not None)

    @property
    def bytes(self) -> int:
        """Compressed bytes that wait."""
        return self._must_bytes + (len(self._newest.image) if self._newest else 0)

    @property
    def newest_s(self) -> float | None:
        """When the frame came that is next, on the server's clock; None if it is not an ordinary one."""
        return None if self._must or self._newest is None else self._newest.received_s

    @property
    def next_seq(self) -> int | None:
        """The number of the frame that is next; None if there is none."""
        following = self._must[0] if self._must else self._newest
        return None if following is None else following.seq

    def put(self, frame: Frame, *, must: bool) -> Frame | None:
        """Takes a frame in; returns the older ordinary frame that it replaces. Raises QueueFull."""
        if must:
            if len(self._must) >= self._max_frames or self._must_bytes + len(frame.image) > self._max_bytes:
                raise QueueFull(f"{len(self._must)} must-process frames wait; the limit is {self._max_frames}")
            self._must.append(frame)
            self._must_bytes += len(frame.image)
            # Ordinary frames older than a must-process one would only hold it up.
            replaced, self._newest = self._newest, None
        else:
            replaced, self._newest = self._newest, frame
        return replaced

    def take(self) -> Frame | None:
        """The next frame to process: must-process frames first, which are always older than the newest one."""
        if self._must:
            frame = self._must.pop(0)
            self._must_bytes -= len(frame.image)
            return frame
        newest, self._newest = self._newest, None
        return newest

    def clear_before(self, limit_s: float) -> Frame | None:
        """Throws the ordinary frame away, and returns it, if it came before then."""
        if self._newest is None or self._newest.received_s >= limit_s:
            return None
        late, self._newest = self._newest, None
        return late

    def clear_ordinary(self) -> int:
        """Throws away the ordinary frame; returns how many that were."""
        count, self._newest = int(self._newest is not None), None
        return count

    def clear(self) -> int:
        """Throws away whatever waits; returns how many frames that were."""
        count = len(self)
        self._must.clear()
        self._must_bytes, self._newest = 0, None
        return count


class Ring:
    """The last compressed frames, so that a target can be started on the very frame that its box was drawn on."""

    def __init__(self, max_frames: int, max_bytes: int) -> None:
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._frames: list[Frame] = []
        self._bytes = 0

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    @property
    def bytes(self) -> int:
        """Compressed bytes that are kept."""
        return self._bytes

    def put(self, frame: Frame) -> None:
        """Keeps a frame, and lets the oldest go where there are too many; the newest always stays."""
        self._frames.append(frame)
        self._bytes += len(frame.image)
        while len(self._frames) > 1 and (len(self._frames) > self._max_frames or self._bytes > self._max_bytes):
            self._bytes -= len(self._frames.pop(0).image)

    def find(self, seq: int) -> Frame | None:
        """The frame with that number, if it is still here."""
        return next((frame for frame in self._frames if frame.seq == seq), None)

    def between(self, after: int, before: int | None, at_most: int) -> list[Frame]:
        """Frames with after < seq (< before), oldest first; evenly thinned out if there are more than `at_most`."""
        later = [frame for frame in self._frames if frame.seq > after and (before is None or frame.seq < before)]
        if len(later) <= at_most:
            return later
        # Even steps and the newest one: a target that moves is not lost in a gap.
        return [later[(i + 1) * len(later) // at_most - 1] for i in range(at_most)]

    def clear(self) -> None:
        """Forgets everything."""
        self._frames.clear()
        self._bytes = 0
