"""A session's targets: those that a frame is searched for, and what its client hears of what a worker found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from service.engine.answers import Answers
from service.engine.backlog import Ring
from service.engine.counters import Counters, Drop
from service.engine.jobs import Failure, Followed, Job, Outcome, Start, StartOrder
from service.engine.operations import Answer, Operations, committed
from service.engine.thresholds import give_up_s, rests
from service.engine.views import target_info
from service.protocol import results
from service.protocol.header import Frame, Reason
from service.protocol.messages import SessionUpdate
from service.protocol.requests import CreateRequest
from service.protocol.results import Payload
from service.settings_sections import LimitSettings


def must_process(frame: Frame, request: CreateRequest) -> bool:
    """Whether the frame is one of those that are never dropped for a newer one."""
    return frame.must_process or request.mode == "every"


class Following:
    """Targets by id, and the operations on them. `update` is what a `session.update` does when its turn comes."""

    __slots__ = ("_answers", "_counters", "_initial", "followed", "operations", "ring")

    def __init__(
        self,
        limits: LimitSettings,
        starts: Sequence[Start],
        counters: Counters,
        answers: Answers,
        update: Callable[[SessionUpdate], Failure | None],
    ) -> None:
        self.followed: dict[str, Followed] = {}
        self.ring = Ring(limits.ring_frames, limits.ring_bytes)
        self.operations = Operations(self.followed, self.ring, limits.max_targets, answers.say, update)
        self.operations.create(starts)
        self._initial = [start.followed for start in starts]
        self._counters = counters
        self._answers = answers

    def looked_for(self, now_s: float) -> tuple[Followed, ...]:
        """The targets that a frame is searched for now: those that were started and do not rest."""
        return tuple(entry for entry in self.followed.values() if entry.target is not None and not rests(entry, now_s))

    def conclude(self, job: Job, outcome: Outcome, request: CreateRequest, now_s: float) -> None:
        """What a worker made of a job: orders take effect, results and events go out."""
        self.operations.finished()
        waiting = 0
        for order, _ in job.orders:
            waiting += self._conclude_order(order, outcome, waiting)
        if job.frame is not None:
            self.conclude_frame(job.frame, outcome, request, now_s)

    def _conclude_order(self, order: StartOrder, outcome: Outcome, waiting: int) -> bool:
        """True if the order waits for the next frame, behind so many others of its job."""
        started = outcome.started.get(order, Failure("internal", "the server failed on this operation"))
        if not isinstance(started, Failure):
            committed(self.followed, order, started, self._counters.tally)
            seq = max((start.seq for start in order.starts if start.seq is not None), default=None)
            self.operations.answer(Answer(order.op, on_seq=seq, caught_up=outcome.caught_up.get(order, 0)))
        elif started.code == "image_undecodable" and self.operations.wait_for_next(order, waiting):
            return True
        else:
            self.operations.abandon(order)
            self.operations.answer(Answer(order.op, started))
        return False

    def conclude_frame(self, frame: Frame, outcome: Outcome, request: CreateRequest, now_s: float) -> None:
        """The result of a frame, or why there is none."""
        if outcome.undecodable is not None:
            self._answers.rejected(Reason.IMAGE_UNDECODABLE, outcome.undecodable, frame.seq, now_s)
            return
        if outcome.internal:
            self._counters.drop(Drop.INTERNAL)
            detail = "the server failed on this frame; the session goes on"
            self._answers.say(results.error("internal", detail, seq=frame.seq))
            return
        self._counters.process(now_s - frame.received_s)
        give_up = give_up_s(request.thresholds)
        views = self._answers.found(self.followed.values(), outcome.estimates, frame, give_up)
        if not frame.no_reply:
            must = must_process(frame, request)
            self._answers.result(frame, outcome, views, self._next(frame), now_s, must=must)

    def answer_empty(self, frame: Frame, request: CreateRequest, now_s: float) -> None:
        """A frame without targets."""
        self._counters.drop(Drop.NO_TARGET)
        if not frame.no_reply and not self._answers.empty(frame, self._next(frame), now_s):
            self.unanswered(frame, request)

    def unanswered(self, frame: Frame, request: CreateRequest) -> None:
        """An ordinary frame gets no result, and perhaps no newer one will: it must not keep the client from sending."""
        if not must_process(frame, request):
            self._answers.say(self._answers.credit.message(frame.seq))

    def _next(self, frame: Frame) -> Payload | None:
        entries = self.looked_for(frame.received_s)
        targets = [entry.target for entry in entries if entry.target is not None]
        return self._answers.following(targets, frame, starting=len(self.operations) > 0)

    def views(self, *, in_flight: bool) -> list[Payload]:
        """The targets as welcome and the session view show them, those included that wait for their first frame.
        `in_flight`: while a worker has a job of the session."""
        initial = [entry for entry in self._initial if entry.target is None and entry.id not in self.followed]
        entries = [*self.followed.values(), *(initial if len(self.operations) or in_flight else [])]
        return [target_info(entry) for entry in entries]
