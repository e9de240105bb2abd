"""What of a session goes to a worker: one job at a time, made of the frame that is next and the starts before it."""

from __future__ import annotations

from service.engine.answers import Answers
from service.engine.changing import Terms
from service.engine.counters import Counters, Drop
from service.engine.following import Following
from service.engine.jobs import Job, Outcome
from service.engine.waiting import Waiting
from service.protocol.header import Frame


class Work:
    """The jobs of one session. `job` is the one that is out; frames up to `done_seq` have been through a worker."""

    __slots__ = ("_answers", "_counters", "_following", "_id", "_terms", "_waiting", "done_seq", "job")

    def __init__(
        self,
        session_id: str,
        terms: Terms,
        waiting: Waiting,
        following: Following,
        counters: Counters,
        answers: Answers,
    ) -> None:
        self.job: Job | None = None
        self.done_seq = -1
        self._id = session_id
        self._terms = terms
        self._waiting = waiting
        self._following = following
        self._counters = counters
        self._answers = answers

    def is_there(self, now_s: float, last_seq: int) -> bool:
        """True if `take` would give a job; `last_seq` is the number of the session's newest frame."""
        return self.job is None and (self._waiting.due(now_s) or self._following.operations.settle(now_s, last_seq))

    def take(self, now_s: float, last_seq: int, under_load: int) -> Job | None:
        """The next job, if there is any; none while another one is out. `under_load`: the cadence that overload asks of
        ordinary frames, where the session has chosen none."""
        while self.is_there(now_s, last_seq):
            frame = self._next_frame(now_s)
            # A frame that waits for `max_fps` comes after the orders, like the one that they are taken with.
            next_seq = self._waiting.next_seq if frame is None else frame.seq
            orders = self._following.operations.take(next_seq, now_s, last_seq)
            request = self._terms.request  # as the operations before these orders have changed it
            looked = () if frame is None else self._following.looked_for(now_s)
            if orders or looked:
                cadence, replaced = request.cadence or 1, 0
                if frame is not None:
                    cadence = self._cadence(frame, under_load)
                    replaced = self._waiting.took(now_s, request.max_fps)
                self.job = Job(self._id, frame, looked, orders, self._terms.thresholds, cadence, replaced)
                return self.job
            if frame is None:
                return None
            if self._following.followed:
                # None of them is looked for now: given up, or waiting for a whole frame to be started anew in.
                self._following.conclude_frame(frame, Outcome(done_s=now_s), request, now_s)
                self.done_seq = frame.seq
            else:
                self._following.answer_empty(frame, request, now_s)
        return None

    def _cadence(self, frame: Frame, under_load: int) -> int:
        request = self._terms.request
        relief = 1 if request.cadence is not None or request.mode == "every" else under_load
        if not frame.must_process:
            self._answers.tell_cadence(relief)
        if frame.discontinuity:
            return 1  # nothing can be carried over a cut
        return request.cadence or (1 if frame.must_process else relief)

    def _next_frame(self, now_s: float) -> Frame | None:
        """The next frame if it is time for one, without those that have waited too long for it."""
        if not self._waiting.due(now_s):
            return None
        request = self._terms.request
        late = self._waiting.late(now_s, request.deadline_ms)
        if late is not None:
            self._counters.drop(Drop.DEADLINE)
            self._following.unanswered(late, request)
        return self._waiting.take()

    def finish(self, outcome: Outcome, now_s: float) -> None:
        """The job came back: orders take effect, results and events go out."""
        job, self.job = self.job, None
        assert job is not None
        self._following.conclude(job, outcome, self._terms.request, now_s)
        if job.frame is not None:
            self.done_seq = job.frame.seq
