"""A session: one stream of frames and its targets. A plain machine on the event loop's thread: no sockets, no waiting;
times come in as arguments, messages go out through its answers."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any, Literal

from service.engine.admission import Costs
from service.engine.answers import Answers
from service.engine.backlog import Backlog, QueueFull, Ring
from service.engine.changing import ChangeRefused, changed
from service.engine.clocks import Pace
from service.engine.counters import Counters, Drop
from service.engine.credit import Credit
from service.engine.jobs import Failure, Followed, Job, Outcome
from service.engine.models import Model
from service.engine.operations import Answer, Operations, committed, requested_start
from service.engine.outbox import Outbox
from service.engine.rates import AnsweredRate
from service.engine.thresholds import applied, give_up_s, rests
from service.protocol import results
from service.protocol.header import Frame, FrameRejected, Reason, claims_window, read_frame
from service.protocol.messages import CreateRequest, Operation, PatchRequest
from service.protocol.results import Payload
from service.security.quotas import Verdict
from service.settings import LimitSettings

SessionState = Literal["created", "live", "detached", "closed"]
Quota = Callable[[int, float], Verdict]
"""Counts in a frame of so many bytes at that time."""


def unlimited(_size: int, _now_s: float) -> Verdict:
    """The quota of those who have none."""
    return Verdict.WITHIN


class Session:
    """One stream. `on_work` is called whenever there may be something to do for a worker."""

    def __init__(
        self,
        id: str,  # noqa: A002 - the field's name on the wire
        request: CreateRequest,
        model: Model,
        limits: LimitSettings,
        on_work: Callable[[Session], None],
        now_s: float,
        *,
        pointer: str = "",
        owner: str = "",
        quota: Quota = unlimited,
    ) -> None:
        self.id = id
        self.owner = owner
        self.request = request
        self.model = model
        self.state: SessionState = "created"
        self.epoch = 0
        self.confirmed_epoch = 0
        self.followed: dict[str, Followed] = {}
        self.counters = Counters(model.tally)
        self.answers = Answers(model, self.counters, request.result, Credit(limits))
        self.costs = Costs()
        self.last_frame_s = now_s
        self.detached_s = now_s
        self.token_s = now_s
        self._limits = limits
        self._quota = quota
        self._on_work = on_work
        self._thresholds = applied(model.tracker.spec.presence, request.thresholds)
        self._pace = Pace()
        self._answered_rate = AnsweredRate()
        self._backlog = Backlog(limits.must_queue, limits.must_queue_bytes)
        self._ring = Ring(limits.ring_frames, limits.ring_bytes)
        # Weakly: in a circle, a closed session would keep its targets until the garbage collector happens to come by.
        me = weakref.proxy(self)
        self._operations = Operations(
            self.followed,
            self._ring,
            limits.max_targets,
            lambda answer: me._answered(answer),
            lambda patch: me._updated(patch),
        )
        starts = [requested_start(item, f"{pointer}/targets/{i}/box") for i, item in enumerate(request.targets)]
        self._operations.create(starts)
        self._initial = [start.followed for start in starts]
        self._job: Job | None = None
        self.last_seq = self.done_seq = -1
        self._when_idle: Callable[[Session], None] | None = None
        self._failed = False
        self._replaced = 0

    @property
    def waiting(self) -> int:
        """Frames that were received and whose fate is open."""
        return len(self._backlog) + (self._job is not None and self._job.frame is not None)

    @property
    def newest_s(self) -> float | None:
        """When the ordinary frame came that is next, on the server's clock; None if something else is next."""
        return None if len(self._operations) else self._backlog.newest_s

    @property
    def interval_s(self) -> float | None:
        """Mean time between its frames lately; None until there are two."""
        return self.answers.rate_in.interval_s

    @property
    def held_bytes(self) -> int:
        """Compressed bytes that the session keeps."""
        return self._backlog.bytes + self._ring.bytes

    @property
    def in_flight(self) -> bool:
        """True while a worker has a job of this session."""
        return self._job is not None

    @property
    def failed(self) -> bool:
        """True after a fault of ours; the session is only waiting to be closed."""
        return self._failed

    @property
    def outbox(self) -> Outbox | None:
        """That of the socket that is attached."""
        return self.answers.outbox

    def attach(self, outbox: Outbox, now_s: float, *, epoch: int | None = None) -> None:
        """A socket takes the session over, from another one if there is one. `epoch`: where others count as well."""
        self.answers.attach(outbox)
        self.state = "live"
        self.epoch = self.epoch + 1 if epoch is None else epoch
        self.last_frame_s = now_s

    def go_on(self, after: int | None) -> None:
        """The socket that was just attached goes on where another one ended, which had results of must-process frames
        up to `after`. None: it starts afresh, and what the other one left behind is of no use to it."""
        self.answers.repeat(after)
        if after is None:
            self.counters.drop(Drop.DETACHED, self._backlog.clear())

    def when_idle(self, act: Callable[[Session], None]) -> None:
        """Acts now, or as soon as the worker that has the targets gives them back; the last one who asked is served."""
        if self._job is None:
            act(self)
        else:
            self._when_idle = act

    def confirm(self) -> None:
        """The client of this epoch was heard, so it knows of it: who was there before is out."""
        self.confirmed_epoch = self.epoch

    def detach(self, now_s: float) -> None:
        """The socket is gone; targets and must-process frames stay, another frame that waits does not."""
        self.answers.outbox, self.detached_s = None, now_s
        if self.state != "closed":
            self.state = "detached"
        self.counters.drop(Drop.DETACHED, self._backlog.clear_ordinary())

    def close(self, drop: Drop = Drop.DETACHED) -> None:
        """The end: nothing is processed any more."""
        self.state = "closed"
        self.counters.drop(drop, self._backlog.clear())
        self._ring.clear()

    def fail(self) -> None:
        """After a fault of ours in here, which nobody else may notice: the socket is told and closed."""
        self._failed = True
        lost = self.counters.received - self.counters.processed - self.counters.dropped - self.counters.rejected
        self.counters.drop(Drop.INTERNAL, lost - self.waiting)
        self.answers.say(results.error("internal", "the server failed on this session", fatal=True))
        self.answers.close(1011, "internal: the server failed on this session")

    def receive(self, data: bytes, now_s: float) -> None:
        """A binary message. What is wrong with it gets its documented answer; the session goes on."""
        self.counters.receive(window=claims_window(data))
        self.answers.rate_in.add(now_s)
        self.last_frame_s = now_s
        verdict = self._quota(len(data), now_s)
        try:
            frame = read_frame(data, self.last_seq, self._limits.max_pixels, now_s)
        except FrameRejected as error:
            self._reject(error.reason, str(error), None, now_s)
            return
        self.last_seq = frame.seq
        self.counters.space(frame.ts_us, now_s)
        if self.state == "closed" or self._failed:  # its socket is about to be closed
            self.counters.drop(Drop.DETACHED)
            return
        if verdict is not Verdict.WITHIN:
            self.counters.drop(Drop.QUOTA)
            self.answers.over_quota(verdict, frame.seq, now_s, must=self._must(frame))
            return
        if self.answers.credit.arrived(len(frame.image), now_s, must=self._must(frame)):
            self.answers.say(self.answers.credit.message())
        self._ring.put(frame)
        self._operations.arrived(frame)
        starting = len(self._operations) > 0 or (self._job is not None and len(self._job.orders) > 0)
        if not self.followed and not starting and not self.waiting:
            self.counters.drop(Drop.NO_TARGET)
            self._answer_empty(frame, now_s)
            return
        try:
            replaced = self._backlog.put(frame, must=self._must(frame))
        except QueueFull as error:
            self.counters.drop(Drop.CAPACITY)
            self.answers.say(results.error("must_queue_full", str(error), seq=frame.seq))
            return
        if replaced is not None:
            self.counters.drop(Drop.NEWER)
            self._replaced += 1
            self.answers.credit.replaced()
        self._tell_rate(now_s)
        self._on_work(self)

    def _tell_rate(self, now_s: float) -> None:
        counters = self.counters
        change = self._answered_rate.changed(
            now_s, counters.processed, counters.drops[Drop.NEWER], self.request.max_fps
        )
        if change is not None:
            self.answers.say(results.rate_event(change.wanted, change.answered))

    def _must(self, frame: Frame) -> bool:
        return frame.must_process or self.request.mode == "every"

    def operate(self, operation: Operation, now_s: float) -> None:
        """An operation on the targets, or on the session itself."""
        repeated = self._operations.put(operation, now_s)
        if repeated is not None:
            self.answers.say(repeated)
        self.settle(now_s)

    def change(self, patch: PatchRequest) -> None:
        """Changes the settings, from the next frame on; raises ChangeRefused."""
        self.request, self.answers.want = changed(self.request, self.answers.want, patch)
        self._thresholds = applied(self.model.tracker.spec.presence, self.request.thresholds)

    def _updated(self, patch: PatchRequest) -> Failure | None:
        try:
            self.change(patch)
        except ChangeRefused as error:
            return Failure("not_allowed", str(error), error.pointer)
        return None

    def settle(self, now_s: float) -> None:
        """Answers what can be answered now; to be called from time to time for what waits in vain."""
        if self._operations.settle(now_s, self.last_seq) or len(self._backlog):
            self._on_work(self)

    def has_work(self, now_s: float) -> bool:
        """True if `take` would give a job."""
        if self.state == "closed" or self._failed or self._job is not None:
            return False
        due = len(self._backlog) > 0 and self._pace.wait_s(now_s) == 0
        return due or self._operations.settle(now_s, self.last_seq)

    def pause_s(self, now_s: float) -> float:
        """How long the next frame has to wait because of `max_fps`; 0 if there is none or it need not."""
        if self.state == "closed" or self._failed or self._job is not None or not len(self._backlog):
            return 0.0
        return self._pace.wait_s(now_s)

    def take(self, now_s: float, cadence: int = 1) -> Job | None:
        """The next job for a worker, if there is any; none while another one is out. `cadence`: of ordinary frames,
        where the session has chosen none."""
        while self.has_work(now_s):
            frame = self._next_frame(now_s)
            orders = self._operations.take(frame, now_s, self.last_seq)
            followed = tuple(entry for entry in self.followed.values() if not rests(entry, now_s))
            if orders or (frame is not None and followed):
                if frame is not None:
                    self._pace.took(now_s, self.request.max_fps)
                looked = followed if frame is not None else ()
                chosen = self.request.cadence or (1 if frame is None or self._must(frame) else cadence)
                replaced, self._replaced = self._replaced, 0
                self._job = Job(self.id, frame, looked, orders, self._thresholds, chosen, replaced)
                return self._job
            if frame is None:
                return None
            if self.followed:
                # All of them were given up and are not looked for now.
                self._conclude_frame(frame, Outcome(done_s=now_s), now_s)
                self.done_seq = frame.seq
                continue
            self.counters.drop(Drop.NO_TARGET)
            self._answer_empty(frame, now_s)
        return None

    def _next_frame(self, now_s: float) -> Frame | None:
        """The next frame if it is time for one, without those that have waited too long for it."""
        if self._pace.wait_s(now_s) > 0:
            return None
        deadline_ms = self.request.deadline_ms
        late = None if deadline_ms is None else self._backlog.clear_before(now_s - deadline_ms / 1e3)
        if late is not None:
            self.counters.drop(Drop.DEADLINE)
            self._unanswered(late)
        return self._backlog.take()

    def finish(self, outcome: Outcome, now_s: float) -> None:
        """A job came back: orders take effect, results and events go out."""
        job, self._job = self._job, None
        assert job is not None
        self._operations.finished()
        for order, _ in job.orders:
            self._conclude(order, outcome)
        if job.frame is not None:
            self._conclude_frame(job.frame, outcome, now_s)
            self.done_seq = job.frame.seq
        if self._when_idle is not None:
            act, self._when_idle = self._when_idle, None
            act(self)
        if self.state != "closed":
            self.settle(now_s)

    def _conclude(self, order: Any, outcome: Outcome) -> None:
        started = outcome.started.get(order, Failure("internal", "the server failed on this operation"))
        if not isinstance(started, Failure):
            committed(self.followed, order, started)
            seq = max((start.seq for start in order.starts if start.seq is not None), default=None)
            self._answered(Answer(order.op, on_seq=seq, caught_up=outcome.caught_up.get(order, 0)))
        elif started.code != "image_undecodable" or not self._operations.wait_for_next(order):
            self._answered(Answer(order.op, started))

    def _conclude_frame(self, frame: Frame, outcome: Outcome, now_s: float) -> None:
        if outcome.undecodable is not None:
            self._reject(Reason.IMAGE_UNDECODABLE, outcome.undecodable, frame.seq, now_s)
            return
        if outcome.internal:
            self.counters.drop(Drop.INTERNAL)
            self.answers.say(
                results.error("internal", "the server failed on this frame; the session goes on", seq=frame.seq)
            )
            return
        self.counters.process(now_s - frame.received_s)
        give_up = give_up_s(self.request.thresholds)
        views = self.answers.found(self.followed.values(), outcome.estimates, frame, give_up)
        if not frame.no_reply:
            following = self._following(frame)
            self.answers.result(frame, outcome, views, following, now_s, must=self._must(frame))

    def _answer_empty(self, frame: Frame, now_s: float) -> None:
        if not frame.no_reply and not self.answers.empty(frame, self._following(frame), now_s):
            self._unanswered(frame)

    def _unanswered(self, frame: Frame) -> None:
        """An ordinary frame gets no result, and perhaps no newer one will: it must not keep the client from sending."""
        if not self._must(frame):
            self.answers.say(self.answers.credit.message(frame.seq))

    def _following(self, frame: Frame) -> Payload | None:
        entries = [entry for entry in self.followed.values() if not rests(entry, frame.received_s)]
        targets = [entry.target for entry in entries if entry.target is not None]
        return self.answers.following(targets, frame, starting=len(self._operations) > 0)

    def target_views(self) -> list[Payload]:
        """The targets as welcome and the session view show them, those included that wait for their first frame."""
        initial = [entry for entry in self._initial if entry.target is None and entry.id not in self.followed]
        entries = [*self.followed.values(), *(initial if len(self._operations) or self.in_flight else [])]
        return [
            {
                "id": entry.id,
                "label": entry.label,
                "state": entry.state,
                "box": list(entry.target.box.xywh()) if entry.target else None,
            }
            for entry in entries
        ]

    def _reject(self, reason: Reason, detail: str, seq: int | None, now_s: float) -> None:
        self.counters.reject(reason)
        self.answers.rejected(reason, detail, seq, now_s)

    def _answered(self, answer: Answer) -> None:
        if answer.op is not None:
            self.answers.say(self._operations.acknowledgement(answer))
        elif answer.failure is not None:
            failure = answer.failure
            self.answers.say(results.error(failure.code, failure.detail, pointer=failure.pointer))
