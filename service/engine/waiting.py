"""The frames of a session that wait for a worker: which one is next and when, and which have waited too long."""

from __future__ import annotations

from service.engine.backlog import Backlog
from service.engine.clocks import Pace
from service.protocol.header import Frame
from service.settings_sections import LimitSettings


class Waiting:
    """A backlog with the pace of the session's `max_fps`; times in seconds of the server's clock."""

    __slots__ = ("_backlog", "_pace", "_replaced")

    def __init__(self, limits: LimitSettings) -> None:
        self._backlog = Backlog(limits.must_queue, limits.must_queue_bytes)
        self._pace = Pace()
        self._replaced = 0

    def __len__(self) -> int:
        return len(self._backlog)

    @property
    def bytes(self) -> int:
        """Compressed bytes that wait."""
        return self._backlog.bytes

    @property
    def newest_s(self) -> float | None:
        """When the ordinary frame came that is next; None if none is."""
        return self._backlog.newest_s

    @property
    def next_seq(self) -> int | None:
        """The number of the frame that is next; None if there is none."""
        return self._backlog.next_seq

    def put(self, frame: Frame, *, must: bool) -> bool:
        """Takes a frame in; True if it takes the place of an older one. Raises QueueFull."""
        if self._backlog.put(frame, must=must) is None:
            return False
        self._replaced += 1
        return True

    def pause_s(self, now_s: float) -> float:
        """How long the next frame has to wait for its turn; 0 if there is none or it need not."""
        return self._pace.wait_s(now_s) if len(self._backlog) else 0.0

    def due(self, now_s: float) -> bool:
        """Whether a frame waits whose turn it is."""
        return len(self._backlog) > 0 and self._pace.wait_s(now_s) == 0

    def paced(self, max_fps: float | None) -> None:
        """No more frames a second than that are followed from now on."""
        self._pace.changed(max_fps)

    def late(self, now_s: float, deadline_ms: float | None) -> Frame | None:
        """Throws the ordinary frame away, and returns it, if it has waited longer than that for a worker. That it had
        to wait for `max_fps` does not count: the session has asked for it."""
        if deadline_ms is None:
            return None
        limit_s = now_s - deadline_ms / 1e3
        return self._backlog.clear_before(limit_s) if self._pace.promised_s < limit_s else None

    def take(self) -> Frame | None:
        """The next frame."""
        return self._backlog.take()

    def took(self, now_s: float, max_fps: float | None) -> int:
        """A frame is followed now; returns how many gave way to newer ones since the one before."""
        self._pace.took(now_s, max_fps)
        replaced, self._replaced = self._replaced, 0
        return replaced

    def clear_ordinary(self) -> int:
        """Throws away the ordinary frame; returns how many that were."""
        return self._backlog.clear_ordinary()

    def clear(self) -> int:
        """Throws away whatever waits; returns how many frames that were."""
        return self._backlog.clear()
