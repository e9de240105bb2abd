"""Relief under overload: while frames are lost for want of time, the network looks at fewer of them.

Every frame that is answered still gets a box, carried by `models.carrying` from the last look; so a stream keeps more
of its frames than it would with a look at each of those that there is time for.
"""

from __future__ import annotations

WINDOW_S = 1.0
"""Load is measured over so long."""
REPLACED, BUSY = 0.02, 0.8
"""Relief begins where so large a share of the frames was replaced by newer ones, and of the workers' time was taken:
a stream that is too fast for itself alone leaves the others of a server with time to spare as they are."""
CALM = 0.4
"""It ends where less of the workers' time is taken: looking at every frame costs up to twice as much."""


class Relief:
    """Whether the server is overloaded, from what its workers did lately."""

    def __init__(self, workers: int, cadence: int, now_s: float) -> None:
        """cadence: the network looks at one of so many frames at least while there is too much to do; 1: at every one,
        come what may. `now_s`: any clock in seconds, the same for all calls."""
        self._workers, self._under_load = workers, cadence
        self._on = False
        self._start_window(now_s)

    @property
    def cadence(self) -> int:
        """For sessions that leave it to the server, now."""
        return self._under_load if self._on else 1

    def worked(self, now_s: float, seconds: float, *, frames: int, replaced: int) -> bool:
        """A worker ended a batch of so many frames after so many seconds; `replaced` others of these sessions had given
        way to them. Returns whether `cadence` has changed."""
        self._worked_s += seconds
        self._frames += frames
        self._replaced += replaced
        passed_s = now_s - self._began_s
        if passed_s < WINDOW_S:
            return False
        busy = self._worked_s / (self._workers * passed_s)
        lost = self._replaced / max(1, self._frames + self._replaced)
        before, self._on = self._on, busy >= CALM if self._on else busy >= BUSY and lost >= REPLACED
        self._start_window(now_s)
        return self._on is not before and self._under_load > 1

    def _start_window(self, now_s: float) -> None:
        self._began_s, self._worked_s = now_s, 0.0
        self._frames = self._replaced = 0
