"""Ages and rates, from times that are passed in (seconds of the server's monotonic clock)."""

from __future__ import annotations

from collections import deque

BASE_BUCKETS = 10
BUCKET_S = 60.0
JUMP_S = 1.0


class AgeClock:
    """Delay of a frame above the best delay seen lately, without comparing the two clocks' absolute values."""

    def __init__(self) -> None:
        self._buckets: deque[tuple[int, float]] = deque(maxlen=BASE_BUCKETS)
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
        base = min(lowest for _, lowest in self._buckets)
        return max(0.0, offset - base), jumped


class Rate:
    """Events per second over the last 30 of them."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=31)

    def add(self, now_s: float) -> None:
        """One more event."""
        self._times_s.append(now_s)

    @property
    def per_second(self) -> float:
        """Mean rate; 0 until there are two events."""
        if len(self._times_s) < 2:
            return 0.0
        span = self._times_s[-1] - self._times_s[0]
        return round((len(self._times_s) - 1) / span, 1) if span > 0 else 0.0
