"""A session: one stream of frames and its targets. A plain machine on the event loop's thread: no sockets, no waiting;
times come in as arguments, messages go out through the outbox."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Literal

from models.presence import State
from models.target import Estimate, Target
from service.engine.admission import Costs
from service.engine.backlog import Backlog, QueueFull, Ring
from service.engine.clocks import AgeClock, Rate
from service.engine.counters import Counters, Drop
from service.engine.jobs import Failure, Followed, Job, Outcome
from service.engine.models import Model
from service.engine.operations import Answer, Operations, committed, requested_start
from service.engine.outbox import Outbox, ResultDraft
from service.engine.views import next_window, target_view, timings_view
from service.protocol import results
from service.protocol.header import Frame, FrameRejected, Reason, claims_window, read_frame
from service.protocol.messages import CreateRequest, Operation
from service.protocol.results import Payload
from service.security.quotas import Verdict
from service.settings import LimitSettings

EMPTY_RESULT_INTERVAL_S = 0.5
WARNING_INTERVAL_S = 5.0
BAD_FRAMES = 20
BAD_FRAMES_WINDOW_S = 10.0

SessionState = Literal["created", "live", "detached", "closed"]
Quota = Callable[[int, float], Verdict]
"""Counts in a frame of so many bytes at that time."""

_FLOODS = {Verdict.FRAMES_FLOOD: (4429, "rate_limited: far"), Verdict.BYTES_FLOOD: (4413, "quota_bytes: far")}


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
        self.want = request.result
        self.followed: dict[str, Followed] = {}
        self.counters = Counters(model.tally)
        self.costs = Costs()
        self.rate_in, self.rate_out = Rate(), Rate()
        self.last_frame_s = now_s
        self.detached_s = now_s
        self.outbox: Outbox | None = None
        self._limits = limits
        self._quota = quota
        self._on_work = on_work
        self._backlog = Backlog(limits.must_queue, limits.must_queue_bytes)
        self._ring = Ring(limits.ring_frames, limits.ring_bytes)
        self._operations = Operations(self.followed, self._ring, limits.max_targets, self._answered)
        starts = [requested_start(item, f"{pointer}/targets/{i}/box") for i, item in enumerate(request.targets)]
        self._operations.create(starts)
        self._initial = [start.followed for start in starts]
        self._ages = AgeClock()
        self._job: Job | None = None
        self._last_seq = -1
        self._last_empty_s = float("-inf")
        self._sent_drops = 0
        self._warned_s: dict[str, float] = {}
        self._bad_times_s: deque[float] = deque(maxlen=BAD_FRAMES)
        self._failed = False

    @property
    def waiting(self) -> int:
        """Frames that were received and whose fate is open."""
        return len(self._backlog) + (self._job is not None and self._job.frame is not None)

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

    def attach(self, outbox: Outbox, now_s: float) -> None:
        """A socket takes the session over."""
        self.outbox, self.state = outbox, "live"
        self.epoch += 1
        self.last_frame_s = now_s

    def detach(self, now_s: float) -> None:
        """The socket is gone; targets stay, frames that wait do not."""
        self.outbox, self.detached_s = None, now_s
        if self.state != "closed":
            self.state = "detached"
        self.counters.drop(Drop.DETACHED, self._backlog.clear())

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
        if self.outbox is not None:
            self.outbox.put(results.error("internal", "the server failed on this session", fatal=True))
            self.outbox.close(1011, "internal: the server failed on this session")

    def receive(self, data: bytes, now_s: float) -> None:
        """A binary message. What is wrong with it gets its documented answer; the session goes on."""
        self.counters.receive(window=claims_window(data))
        self.rate_in.add(now_s)
        self.last_frame_s = now_s
        verdict = self._quota(len(data), now_s)
        try:
            frame = read_frame(data, self._last_seq, self._limits.max_pixels, now_s)
        except FrameRejected as error:
            self._reject(error.reason, str(error), None, now_s)
            return
        self._last_seq = frame.seq
        if self.state == "closed" or self._failed:  # its socket is about to be closed
            self.counters.drop(Drop.DETACHED)
            return
        if verdict is not Verdict.WITHIN:
            self._over_quota(frame, verdict, now_s)
            return
        self._ring.put(frame)
        self._operations.arrived(frame)
        starting = len(self._operations) > 0 or (self._job is not None and len(self._job.orders) > 0)
        if not self.followed and not starting and not self.waiting:
            self.counters.drop(Drop.NO_TARGET)
            self._send_empty(frame, now_s)
            return
        try:
            replaced = self._backlog.put(frame, must=self._must(frame))
        except QueueFull as error:
            self.counters.drop(Drop.CAPACITY)
            self._send(results.error("must_queue_full", str(error), seq=frame.seq))
            return
        self.counters.drop(Drop.NEWER, replaced is not None)
        self._on_work(self)

    def _must(self, frame: Frame) -> bool:
        return frame.must_process or self.request.mode == "every"

    def _over_quota(self, frame: Frame, verdict: Verdict, now_s: float) -> None:
        self.counters.drop(Drop.QUOTA)
        if self.outbox is not None and verdict in _FLOODS:
            code, words = _FLOODS[verdict]
            self.outbox.close(code, f"{words} beyond what this key may send")
        elif self._must(frame):
            self._send(results.error("rate_limited", "beyond what this key may send", seq=frame.seq))
        else:
            detail = "frames beyond what this key may send are dropped"
            self.warn("degraded_rate", detail, now_s, reason="quota", seq=frame.seq)

    def operate(self, operation: Operation, now_s: float) -> None:
        """An operation on the targets."""
        repeated = self._operations.put(operation, now_s)
        if repeated is not None:
            self._send(repeated)
        self.settle(now_s)

    def settle(self, now_s: float) -> None:
        """Answers what can be answered now; to be called from time to time for what waits in vain."""
        if self._operations.settle(now_s, self._last_seq) or len(self._backlog):
            self._on_work(self)

    def has_work(self, now_s: float) -> bool:
        """True if `take` would give a job."""
        if self.state == "closed" or self._failed or self._job is not None:
            return False
        return len(self._backlog) > 0 or self._operations.settle(now_s, self._last_seq)

    def take(self, now_s: float) -> Job | None:
        """The next job for a worker, if there is any; none while another one is out."""
        while self.has_work(now_s):
            frame = self._backlog.take()
            orders = self._operations.take(frame, now_s, self._last_seq)
            if self.followed or orders:
                followed = tuple(self.followed.values()) if frame is not None else ()
                self._job = Job(self.id, frame, followed, orders, now_s)
                return self._job
            if frame is None:
                return None
            self.counters.drop(Drop.NO_TARGET)
            self._send_empty(frame, now_s)
        return None

    def finish(self, outcome: Outcome, now_s: float) -> None:
        """A job came back: orders take effect, results and events go out."""
        job, self._job = self._job, None
        assert job is not None
        self._operations.finished()
        for order, _ in job.orders:
            self._conclude(order, outcome)
        if job.frame is not None:
            self._conclude_frame(job, job.frame, outcome, now_s)
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

    def _conclude_frame(self, job: Job, frame: Frame, outcome: Outcome, now_s: float) -> None:
        if outcome.undecodable is not None:
            self._reject(Reason.IMAGE_UNDECODABLE, outcome.undecodable, frame.seq, now_s)
            return
        if outcome.internal:
            self.counters.drop(Drop.INTERNAL)
            self._send(results.error("internal", "the server failed on this frame; the session goes on", seq=frame.seq))
            return
        self.counters.process(now_s - frame.received_s)
        present = {id(entry) for entry in self.followed.values()}
        found = [item for item in outcome.estimates if id(item[0]) in present]
        order = {entry_id: i for i, entry_id in enumerate(self.followed)}
        found.sort(key=lambda item: order[item[0].id])
        views = [self._target_view(entry, target, estimate, frame) for entry, target, estimate in found]
        if not frame.no_reply:
            self._send_result(job, frame, outcome, views, now_s)

    def _target_view(self, entry: Followed, target: Target, estimate: Estimate | None, frame: Frame) -> Payload:
        before, after = entry.state, estimate.state if estimate else State.INITIALIZING
        entry.state = after
        if after is State.LOST and entry.lost_since_s is None:
            entry.lost_since_s = frame.received_s
            self._send(results.event("lost", entry.id, frame.seq, p=round(estimate.score, 4) if estimate else 0.0))
        lost_ms = None if entry.lost_since_s is None else (frame.received_s - entry.lost_since_s) * 1e3
        if after is not State.LOST:
            entry.lost_since_s = None
        if after is State.REACQUIRED:
            self._send(results.event("reacquired", entry.id, frame.seq, lost_ms=round(lost_ms or 0.0, 1)))
        if before is not after:
            self.model.tally.moved(before, after)
        return target_view(entry, target, estimate, lost_ms)

    def _send_result(self, job: Job, frame: Frame, outcome: Outcome, views: list[Payload], now_s: float) -> None:
        wait_ms = (job.taken_s - frame.received_s) * 1e3
        draft = ResultDraft(
            seq=frame.seq,
            ts_us=frame.ts_us,
            received_s=frame.received_s,
            excess_s=self._excess(frame, now_s),
            done_s=outcome.done_s,
            targets=views,
            timings=timings_view(wait_ms, outcome.timings) if self.want.timings else None,
            next=self._next_window(frame),
        )
        self.rate_out.add(now_s)
        if self.outbox is None:
            return
        if self._must(frame):
            self.outbox.put(draft)
        else:
            self.outbox.put_newest(draft)

    def _send_empty(self, frame: Frame, now_s: float) -> None:
        if now_s - self._last_empty_s < EMPTY_RESULT_INTERVAL_S or self.outbox is None or frame.no_reply:
            return
        self._last_empty_s = now_s
        excess = self._excess(frame, now_s)
        window = self._next_window(frame)
        draft = ResultDraft(frame.seq, frame.ts_us, frame.received_s, excess, now_s, [], None, window)
        self.outbox.put_newest(draft)

    def _next_window(self, frame: Frame) -> Payload | None:
        if not self.want.window:
            return None
        targets = [entry.target for entry in self.followed.values() if entry.target is not None]
        return next_window(self.model.tracker, targets, frame, starting=len(self._operations) > 0)

    def result(self, draft: ResultDraft, now_s: float) -> Payload:
        """The message for a result that is sent now."""
        drops = self.counters.dropped
        dropped, self._sent_drops = drops - self._sent_drops, drops
        payload: Payload = {"type": "result", "seq": draft.seq, "epoch": self.epoch, "ts_us": draft.ts_us}
        payload["targets"] = draft.targets
        payload["age_ms"] = round((now_s - draft.received_s + draft.excess_s) * 1e3, 2)
        payload |= {"dropped": dropped, "dropped_total": drops}
        if draft.timings is not None:
            payload["timings"] = draft.timings | {"send_wait": round((now_s - draft.done_s) * 1e3, 2)}
        if draft.next is not None:
            payload["next"] = draft.next
        return payload | {"fps": {"in": self.rate_in.per_second, "out": self.rate_out.per_second}}

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

    def warn(self, code: str, detail: str, now_s: float, **data: Any) -> None:
        """A warning, at most one per code in five seconds."""
        key = f"{code}:{data.get('reason', '')}"
        if now_s - self._warned_s.get(key, float("-inf")) >= WARNING_INTERVAL_S:
            self._warned_s[key] = now_s
            self._send(results.warning(code, detail, **data))

    def _excess(self, frame: Frame, now_s: float) -> float:
        if frame.ts_us is None:
            return 0.0
        excess, jumped = self._ages.excess_s(frame.ts_us, frame.received_s)
        if jumped:
            self.warn("clock_jump", "the time stamps jumped; ages start afresh", now_s)
        return excess

    def _reject(self, reason: Reason, detail: str, seq: int | None, now_s: float) -> None:
        self.counters.reject(reason)
        data = {"reason": str(reason)} | ({} if seq is None else {"seq": seq})
        self.warn("frame_rejected", detail, now_s, **data)
        self._bad_times_s.append(now_s)
        many = len(self._bad_times_s) == BAD_FRAMES and now_s - self._bad_times_s[0] < BAD_FRAMES_WINDOW_S
        if many and self.outbox is not None:
            self.outbox.close(4415, f"bad_media: {BAD_FRAMES} unusable frames in {BAD_FRAMES_WINDOW_S:g} s")

    def _answered(self, answer: Answer) -> None:
        if answer.op is not None:
            self._send(self._operations.acknowledgement(answer))
        elif answer.failure is not None:
            failure = answer.failure
            self._send(results.error(failure.code, failure.detail, pointer=failure.pointer))

    def _send(self, payload: Payload) -> None:
        if self.outbox is not None:
            self.outbox.put(payload)
