"""A session: one stream of frames and its targets. A plain machine on the event loop's thread: no sockets, no waiting;
times come in as arguments, messages go out through its answers."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Literal

from service.engine.admission import Costs, NoRoom
from service.engine.answers import Answers
from service.engine.backlog import QueueFull
from service.engine.changing import ChangeRefused, Chooser, Terms, changed, no_other
from service.engine.counters import Counters, Drop
from service.engine.credit import Credit
from service.engine.following import Following, must_process
from service.engine.intake import Intake, Quota, unlimited
from service.engine.jobs import Failure, Job, Outcome
from service.engine.models import Model
from service.engine.operations import requested_start
from service.engine.outbox import Outbox
from service.engine.thresholds import applied
from service.engine.waiting import Waiting
from service.engine.work import Work
from service.protocol import results
from service.protocol.messages import Operation
from service.protocol.requests import CreateRequest, PatchRequest
from service.protocol.results import Payload
from service.settings_sections import LimitSettings

SessionState = Literal["created", "live", "detached", "closed"]


class Session:
    """One stream. `on_work` is called whenever there may be something to do for a worker; `choose` finds the model
    that it asks to go on with."""

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
        choose: Chooser = no_other,
    ) -> None:
        self.id = id
        self.owner = owner
        self.model = model
        self.state: SessionState = "created"
        self.epoch = 0
        self.confirmed_epoch = 0
        self.counters = Counters(model.tally)
        self.answers = Answers(model, self.counters, request.result, Credit(limits))
        self.costs = Costs()
        self.last_frame_s = now_s
        self.detached_s = now_s
        self.token_s = now_s
        self._intake = Intake(limits, quota, self.counters, self.answers)
        self._on_work = on_work
        self._choose = choose
        self._next_model: Model | None = None
        self._terms = Terms(request, applied(model.tracker.spec.presence, request.thresholds))
        self._waiting = Waiting(limits)
        # Weakly: in a circle, a closed session would keep its targets until the garbage collector happens to come by.
        me = weakref.proxy(self)
        starts = [requested_start(item, f"{pointer}/targets/{i}/box") for i, item in enumerate(request.targets)]
        self.following = Following(limits, starts, self.counters, self.answers, lambda patch: me._updated(patch))
        self._operations = self.following.operations
        self.followed = self.following.followed
        self._work = Work(id, self._terms, self._waiting, self.following, self.counters, self.answers)
        self._when_idle: Callable[[Session], None] | None = None
        self._failed = False

    @property
    def last_seq(self) -> int:
        """The number of the newest good frame; -1 before the first."""
        return self._intake.last_seq

    @property
    def done_seq(self) -> int:
        """The number of the newest frame that a worker is done with; -1 before the first."""
        return self._work.done_seq

    def begin_after(self, seq: int) -> None:
        """Frames up to that one were the business of the server that had the session before."""
        self._intake.last_seq = self._work.done_seq = seq

    @property
    def request(self) -> CreateRequest:
        """What it was created with, and changed to since."""
        return self._terms.request

    @property
    def models(self) -> tuple[Model, ...]:
        """Its model, and the one that will be."""
        return (self.model,) if self._next_model is None else (self.model, self._next_model)

    @property
    def waiting(self) -> int:
        """Frames that were received and whose fate is open."""
        job = self._work.job
        return len(self._waiting) + (job is not None and job.frame is not None)

    @property
    def newest_s(self) -> float | None:
        """When the ordinary frame came that is next, on the server's clock; None if something else is next."""
        return None if len(self._operations) else self._waiting.newest_s

    @property
    def interval_s(self) -> float | None:
        """Mean time between its frames lately; None until there are two."""
        return self.answers.rate_in.interval_s

    @property
    def held_bytes(self) -> int:
        """Compressed bytes that the session keeps."""
        return self._waiting.bytes + self.following.ring.bytes

    @property
    def in_flight(self) -> bool:
        """True while a worker has a job of this session."""
        return self._work.job is not None

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
            self.counters.drop(Drop.DETACHED, self._waiting.clear())

    def when_idle(self, act: Callable[[Session], None]) -> None:
        """Acts now, or as soon as the worker that has the targets gives them back; the last one who asked is served."""
        if not self.in_flight:
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
        self.counters.drop(Drop.DETACHED, self._waiting.clear_ordinary())

    def close(self, drop: Drop = Drop.DETACHED) -> None:
        """The end: nothing is processed any more."""
        self.state = "closed"
        self.counters.drop(drop, self._waiting.clear())
        self.following.ring.clear()

    def fail(self) -> None:
        """After a fault of ours in here, which nobody else may notice: the socket is told and closed."""
        self._failed = True
        lost = self.counters.received - self.counters.processed - self.counters.dropped - self.counters.rejected
        self.counters.drop(Drop.INTERNAL, lost - self.waiting)
        self.answers.say(results.error("internal", "the server failed on this session", fatal=True))
        self.answers.close(1011, "internal: the server failed on this session")

    def receive(self, data: bytes, now_s: float) -> None:
        """A binary message. What is wrong with it gets its documented answer; the session goes on."""
        self.last_frame_s = now_s
        is_open = self.state != "closed" and not self._failed
        frame = self._intake.frame(data, now_s, every=self.request.mode == "every", is_open=is_open)
        if frame is None:
            return
        self.following.ring.put(frame)
        self._operations.arrived(frame)
        job = self._work.job
        starting = len(self._operations) > 0 or (job is not None and len(job.orders) > 0)
        if not self.followed and not starting and not self.waiting:
            self.following.answer_empty(frame, self.request, now_s)
            return
        try:
            if self._waiting.put(frame, must=must_process(frame, self.request)):
                self.counters.drop(Drop.NEWER)
                self.answers.credit.replaced()
        except QueueFull as error:
            self.counters.drop(Drop.CAPACITY)
            self.answers.say(results.error("must_queue_full", str(error), seq=frame.seq))
            return
        self.answers.tell_rate(now_s, self.request.max_fps)
        self._on_work(self)

    def operate(self, operation: Operation, now_s: float) -> None:
        """An operation on the targets, or on the session itself."""
        repeated = self._operations.put(operation, now_s)
        if repeated is not None:
            self.answers.say(repeated)
        self.settle(now_s)

    def withdraw(self, op: str) -> None:
        """Takes an operation back, if it still waits."""
        self._operations.withdraw(op)

    def change(self, patch: PatchRequest) -> None:
        """Changes the settings, from the next frame on; raises ChangeRefused, or NoRoom for another model."""
        self._change(patch)
        if self._remodelled() or len(self._waiting):
            self._on_work(self)

    def _change(self, patch: PatchRequest) -> None:
        request, want = changed(self.request, self.answers.want, patch)
        if "model" in patch.model_fields_set:
            self._next_model = self._choose(self, patch.model)
        self.answers.want, self._terms.request = want, request
        self._waiting.paced(request.max_fps)
        self._terms.thresholds = applied(self.models[-1].tracker.spec.presence, request.thresholds)

    def _updated(self, patch: PatchRequest) -> Failure | None:
        try:
            self._change(patch)
        except ChangeRefused as error:
            return Failure(error.code, str(error), error.pointer)
        except NoRoom as error:
            return Failure("no_capacity", str(error), "/model")
        return None

    def _remodelled(self) -> bool:
        """Goes on with the model that was asked for, once no worker has the targets; False if there is nothing to do.

        Never while a job is being made: that is for a batch of the model that there is."""
        if self._next_model is None or self.in_flight:
            return False
        model, self._next_model = self._next_model, None
        if model is self.model:
            return False
        self.model = self.answers.model = model
        self.counters.tally, self.costs = model.tally, Costs()
        restarted, removed = self._operations.restart(self.done_seq)
        self.answers.say(results.model_event(model.id, restarted, removed))
        return True

    def settle(self, now_s: float) -> None:
        """Answers what can be answered now; to be called from time to time for what waits in vain."""
        ready = self._operations.settle(now_s, self.last_seq)
        if self._remodelled():
            ready = self._operations.settle(now_s, self.last_seq)
        if ready or len(self._waiting):
            self._on_work(self)

    @property
    def _rests(self) -> bool:
        return self.state == "closed" or self._failed or self.in_flight

    def has_work(self, now_s: float) -> bool:
        """True if `take` would give a job."""
        return not self._rests and self._work.is_there(now_s, self.last_seq)

    def pause_s(self, now_s: float) -> float:
        """How long the next frame has to wait because of `max_fps`; 0 if there is none or it need not."""
        return 0.0 if self._rests else self._waiting.pause_s(now_s)

    def take(self, now_s: float, cadence: int = 1) -> Job | None:
        """The next job for a worker, if there is any; none while another one is out. `cadence`: what overload asks of
        ordinary frames, where the session has chosen none."""
        if self._rests:
            return None
        return self._work.take(now_s, self.last_seq, cadence)

    def finish(self, outcome: Outcome, now_s: float) -> None:
        """A job came back: orders take effect, results and events go out."""
        self._work.finish(outcome, now_s)
        if self._when_idle is not None:
            act, self._when_idle = self._when_idle, None
            act(self)
        if self.state != "closed":
            self.settle(now_s)

    def target_views(self) -> list[Payload]:
        """The targets as welcome and the session view show them."""
        return self.following.views(in_flight=self.in_flight)
