"""When the next socket is tried after a line broke, and when there is no use in another try."""

from __future__ import annotations

import random

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 30.0
_LAST_TRY = (0.9, 1.0)
"""Parts of the time in which the session can be resumed, between which the last try is made: it has to arrive, and
those who lost the same server should not make theirs at once."""


class Retries:
    """The tries to open the next socket. `now_s` is when the line broke, on a clock of seconds; the session can be
    resumed for `window_s` from then on."""

    def __init__(self, now_s: float, window_s: float) -> None:
        self._last_s = now_s + window_s * random.uniform(*_LAST_TRY)
        self.made = 0
        self.is_last = False

    def delay_s(self, now_s: float, wait_s: float | None) -> float:
        """How long to wait for the next try; `wait_s` is what the server has asked for, if it has."""
        # Full jitter: many clients that lost the same server must not all come back at once.
        delay_s = random.uniform(0, min(LONGEST_DELAY_S, FIRST_DELAY_S * 2**self.made))
        if wait_s is not None:
            delay_s = wait_s + min(delay_s, wait_s / 4)
        self.made += 1
        left_s = max(0.0, self._last_s - now_s)
        self.is_last = delay_s >= left_s
        return min(delay_s, left_s)
