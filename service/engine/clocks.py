"""Ages and rates, from times that are passed in (seconds of the server's monotonic clock)."""

from __future__ import annotations

BASE_BUCKETS = 10
BUCKET_S = 60.0
JUMP_S = 1.0
RATE_EVENTS = 31
"""Times that a rate is made of."""

# Lists, though they lose their first items: an empty deque takes 0.7 KB, which each idle session would pay.


class AgeClock:
    """Delay of a frame above the best delay seen lately, without comparing the two clocks' absolute values."""

    def __init__(self) -> None:
        self._buckets: list[tuple[int, float]] = []
        self._last_ts_s: float | None = None
        self._last_offset_s = 0.0

    def excess_s(self, ts_us: int, received_s: float) -> tuple[float, bool]:
        """(delay above the base, True if the client's clock jumped) for a frame captured at `ts_us`."""
        ts_s = ts_us / 1e6
        offset = received_s - ts_s
        back = self._last_ts_s is not None and ts_s < self._last_ts_s
        jumped = self._last_ts_s is not None and (back or abs(offset - self._last_offset_s) > JUMP_S)
        if jumped:
            self._buckets.clear()
        self._last_ts_s, self._last_offset_s = ts_s, offset
        bucket = int(received_s // BUCKET_S)
        if self._buckets and self._buckets[-1][0] == bucket:
            self._buckets[-1] = (bucket, min(self._buckets[-1][1], offset))
        else:
            self._buckets.append((bucket, offset))
            del self._buckets[:-BASE_BUCKETS]
        base = min(lowest for _, lowest in self._buckets)
        return max(0.0, offset - base), jumped


class Pace:
    """When the next frame may be followed where only so many a second may."""

    def __init__(self) -> None:
        self.due_s = self.promised_s = float("-inf")
        """when the next one may be, and when it might have been had `max_fps` stayed what it was: until then, waiting
        is what was asked for"""
        self._took_s = float("-inf")

    def wait_s(self, now_s: float) -> float:
        """How long it takes until then; 0 if that is now."""
        return max(0.0, self.due_s - now_s)

    def took(self, now_s: float, max_fps: float | None) -> None:
        """One is followed now. Who is a little late does not lose the time: the mean is `max_fps`."""
        self._took_s = now_s
        if max_fps is None:
            self.due_s = float("-inf")
        else:
            self.due_s = max(self.due_s, now_s - 1 / max_fps) + 1 / max_fps
        self.promised_s = self.due_s

    def changed(self, max_fps: float | None) -> None:
        """That is how many may be followed from now on; the next one need not wait as if they were still fewer."""
        self.due_s = float("-inf") if max_fps is None else min(self.due_s, self._took_s + 1 / max_fps)


class Rate:
    """Events per second over the last RATE_EVENTS - 1 of them."""

    def __init__(self) -> None:
        self._times_s: list[float] = []

    def add(self, now_s: float) -> None:
        """One more event."""
        self._times_s.append(now_s)
        if len(self._times_s) > RATE_EVENTS:
            del self._times_s[0]

    @property
    def interval_s(self) -> float | None:
        """Mean time between two of them; None until there are two."""
        if len(self._times_s) < 2:
            return None
        return (self._times_s[-1] - self._times_s[0]) / (len(self._times_s) - 1)

    @property
    def per_second(self) -> float:
        """Mean rate; 0 until there are two events."""
        interval_s = self.interval_s
        return round(1 / interval_s, 1) if interval_s else 0.0
