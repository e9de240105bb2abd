"""From a session's binary messages to its frames, each counted; what is wrong with one gets its documented answer."""

from __future__ import annotations

from collections.abc import Callable

from service.engine.answers import Answers
from service.engine.counters import Counters, Drop
from service.protocol.header import Frame, FrameRejected, claimed_seq, claims_window, read_frame
from service.security.quotas import Verdict
from service.settings_sections import LimitSettings

Quota = Callable[[int, float], Verdict]
"""Counts in a frame of so many bytes at that time."""


def unlimited(_size: int, _now_s: float) -> Verdict:
    """The quota of those who have none."""
    return Verdict.WITHIN


class Intake:
    """The door of one session. `last_seq` is the number of its newest good frame, -1 before the first."""

    __slots__ = ("_answers", "_counters", "_limits", "_quota", "last_seq")

    def __init__(self, limits: LimitSettings, quota: Quota, counters: Counters, answers: Answers) -> None:
        self.last_seq = -1
        self._limits = limits
        self._quota = quota
        self._counters = counters
        self._answers = answers

    def frame(self, data: bytes, now_s: float, *, every: bool, is_open: bool) -> Frame | None:
        """The frame of a message, if it is a good one and may be followed. `every`: all are must-process ones;
        `is_open`: unless the session's socket is about to be closed."""
        counters, answers = self._counters, self._answers
        counters.receive(window=claims_window(data))
        answers.rate_in.add(now_s)
        verdict = self._quota(len(data), now_s)
        try:
            frame = read_frame(data, self.last_seq, self._limits.max_pixels, now_s)
        except FrameRejected as error:
            answers.rejected(error.reason, str(error), claimed_seq(data, self.last_seq), now_s)
            return None
        self.last_seq = frame.seq
        counters.space(frame.ts_us, now_s)
        must = every or frame.must_process
        if not is_open:
            counters.drop(Drop.DETACHED)
            return None
        if verdict is not Verdict.WITHIN:
            counters.drop(Drop.QUOTA)
            answers.over_quota(verdict, frame.seq, now_s, must=must)
            return None
        if answers.credit.arrived(len(frame.image), now_s, must=must):
            answers.say(answers.credit.message())
        return frame
