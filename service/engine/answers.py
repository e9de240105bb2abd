"""What a session says to the client that is attached to it: results, events, warnings and errors, in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from models.presence import State
from models.target import Estimate, Target
from service.engine.clocks import AgeClock, Rate
from service.engine.counters import Counters, Drop
from service.engine.credit import Credit
from service.engine.jobs import Followed, Outcome
from service.engine.models import Model
from service.engine.outbox import Outbox, ResultDraft
from service.engine.rates import AnsweredRate
from service.engine.views import next_window, resting_view, target_view, timings_view
from service.protocol import results
from service.protocol.header import Frame, Reason
from service.protocol.requests import Wanted
from service.protocol.results import Payload
from service.security.quotas import Verdict

EMPTY_RESULT_INTERVAL_S = 0.5
WARNING_INTERVAL_S = 5.0
BAD_FRAMES = 20
BAD_FRAMES_WINDOW_S = 10.0
_FLOODS = {Verdict.FRAMES_FLOOD: (4429, "rate_limited: far"), Verdict.BYTES_FLOOD: (4413, "quota_bytes: far")}
SLOW_LINE_S = 0.25
"""Frames that come so much later than the best ones did pile up on the way."""
SLOW_FOR_S = 3.0
"""A line that is slow for so long does not carry what is sent."""
KEPT_RESULTS = 16
"""Results of must-process frames that are kept for a client whose line broke: more cannot be under way to it than it
has frames in the server's queue."""


class Answers:
    """Speaks through the outbox of the socket that is attached; without one nothing is said."""

    def __init__(self, model: Model, counters: Counters, want: Wanted, credit: Credit) -> None:
        self.outbox: Outbox | None = None
        self.credit = credit
        self.want = want
        self.rate_in, self.rate_out = Rate(), Rate()
        self.model = model
        self._answered_rate = AnsweredRate()
        self._cadence = 1
        self._counters = counters
        self._ages = AgeClock()
        self._slow_since_s: float | None = None
        self._last_empty_s = float("-inf")
        self._sent_drops = 0
        self._warned_s: dict[str, float] = {}
        self._bad_times_s: list[float] = []
        self.kept: deque[ResultDraft] = deque(maxlen=KEPT_RESULTS)

    def attach(self, outbox: Outbox) -> None:
        """A socket is there; whoever had one before is told, and hears no more."""
        if self.outbox is not None:
            self.outbox.drop_results()
            self.outbox.put(results.goaway("superseded"))
            self.outbox.close(4409, "superseded: another socket took the session over")
        self.outbox = outbox
        self._warned_s.clear()
        self._cadence = 1

    def repeat(self, after: int | None) -> None:
        """Says again what was said of must-process frames after that one; None: nobody asks, so it is forgotten."""
        kept, self.kept = self.kept, deque(maxlen=KEPT_RESULTS)
        for draft in kept:
            if after is not None and draft.seq > after:
                self.kept.append(draft)
                self.say(draft)

    def say(self, item: Payload | ResultDraft) -> None:
        """A message that must arrive."""
        if self.outbox is not None:
            self.outbox.put(item)

    def close(self, code: int, reason: str) -> None:
        """The end of the socket, after what was said so far."""
        if self.outbox is not None:
            self.outbox.close(code, reason)

    def warn(self, code: str, detail: str, now_s: float, **data: Any) -> None:
        """A warning, at most one per code in five seconds."""
        key = f"{code}:{data.get('reason', '')}"
        if now_s - self._warned_s.get(key, float("-inf")) >= WARNING_INTERVAL_S:
            self._warned_s[key] = now_s
            self.say(results.warning(code, detail, **data))

    def over_quota(self, verdict: Verdict, seq: int, now_s: float, *, must: bool) -> None:
        """A frame is more than its key may send; far more ends the socket."""
        if verdict in _FLOODS:
            code, words = _FLOODS[verdict]
            self.close(code, f"{words} beyond what this key may send")
        elif must:
            self.say(results.error("rate_limited", "beyond what this key may send", seq=seq))
        else:
            detail = "frames beyond what this key may send are dropped"
            self.warn("degraded_rate", detail, now_s, reason="quota", seq=seq)

    def tell_rate(self, now_s: float, max_fps: float | None) -> None:
        """With every frame: tells how many are answered, where that is news."""
        counters = self._counters
        change = self._answered_rate.changed(now_s, counters.processed, counters.drops[Drop.NEWER], max_fps)
        if change is not None:
            self.say(results.rate_event(change.wanted, change.answered))

    def tell_cadence(self, cadence: int) -> None:
        """With every frame: the cadence that overload asks of the session. Told when it changes; a new socket takes it
        for 1."""
        if cadence != self._cadence:
            self._cadence = cadence
            self.say(results.cadence_event(cadence))

    def rejected(self, reason: Reason, detail: str, seq: int | None, now_s: float) -> None:
        """A frame cannot be used, and counts as rejected; too many of those end the socket."""
        self._counters.reject(reason)
        self.warn("frame_rejected", detail, now_s, reason=str(reason), **({} if seq is None else {"seq": seq}))
        self._bad_times_s.append(now_s)
        del self._bad_times_s[:-BAD_FRAMES]
        if len(self._bad_times_s) == BAD_FRAMES and now_s - self._bad_times_s[0] < BAD_FRAMES_WINDOW_S:
            self.close(4415, f"bad_media: {BAD_FRAMES} unusable frames in {BAD_FRAMES_WINDOW_S:g} s")

    def found(
        self,
        followed: Iterable[Followed],
        estimates: Sequence[tuple[Followed, Target, Estimate | None]],
        frame: Frame,
        give_up_s: float,
    ) -> list[Payload]:
        """What a result says of each target, in their order, without those that are followed no more; events go out
        before it. `give_up_s`: how long a lost target is looked for in every frame."""
        looked = {id(entry): (target, estimate) for entry, target, estimate in estimates}
        views = []
        for entry in followed:
            if id(entry) in looked:
                target, estimate = looked[id(entry)]
                views.append(self._target_view(entry, target, estimate, frame))
                if estimate is not None:
                    self._give_up(entry, frame, give_up_s)
            elif entry.looked_s is not None and entry.target is not None and entry.lost_since_s is not None:
                views.append(resting_view(entry, entry.target, (frame.received_s - entry.lost_since_s) * 1e3))
        return views

    def _give_up(self, entry: Followed, frame: Frame, give_up_s: float) -> None:
        """Notes a look for a target that is lost for too long."""
        lost_s = 0.0 if entry.lost_since_s is None else frame.received_s - entry.lost_since_s
        if lost_s < give_up_s:
            entry.looked_s = None
            return
        if entry.looked_s is None:
            self.say(results.event("gave_up", entry.id, frame.seq, lost_ms=round(lost_s * 1e3, 1)))
        entry.looked_s = frame.received_s

    def _target_view(self, entry: Followed, target: Target, estimate: Estimate | None, frame: Frame) -> Payload:
        before, after = entry.state, estimate.state if estimate else _state_unseen(entry, target)
        entry.state = after
        if after is State.LOST and entry.lost_since_s is None:
            entry.lost_since_s = frame.received_s
            self.say(results.event("lost", entry.id, frame.seq, p=round(estimate.probability, 4) if estimate else 0.0))
        lost_ms = None if entry.lost_since_s is None else (frame.received_s - entry.lost_since_s) * 1e3
        if after is not State.LOST:
            entry.lost_since_s = None
        if after is State.REACQUIRED:
            self.say(results.event("reacquired", entry.id, frame.seq, lost_ms=round(lost_ms or 0.0, 1)))
            self.model.tally.found((lost_ms or 0.0) / 1e3)
        if before is not after:
            self.model.tally.moved(before, after)
        return target_view(entry, target, estimate, lost_ms)

    def result(
        self,
        frame: Frame,
        outcome: Outcome,
        views: list[Payload],
        following: Payload | None,
        now_s: float,
        *,
        must: bool,
    ) -> None:
        """The result for a frame; one that must arrive is kept in case the line breaks."""
        draft = ResultDraft(
            seq=frame.seq,
            ts_us=frame.ts_us,
            received_s=frame.received_s,
            excess_s=self._excess(frame, now_s),
            done_s=outcome.done_s,
            targets=views,
            timings=timings_view(outcome.timings) if self.want.timings else None,
            next=following,
            stages=outcome.timings,
            size=len(frame.image),
        )
        self.rate_out.add(now_s)
        if must:
            self.kept.append(draft)
            self.say(draft)
        elif self.outbox is not None:
            self.outbox.put_newest(draft)

    def empty(self, frame: Frame, following: Payload | None, now_s: float) -> bool:
        """The result for a frame without targets, at most two in a second; False if it would be one too many."""
        if now_s - self._last_empty_s < EMPTY_RESULT_INTERVAL_S or self.outbox is None:
            return False
        self._last_empty_s = now_s
        excess = self._excess(frame, now_s)
        draft = ResultDraft(frame.seq, frame.ts_us, frame.received_s, excess, now_s, [], None, following)
        self.outbox.put_newest(draft)
        return True

    def following(self, targets: Sequence[Target], frame: Frame, *, starting: bool) -> Payload | None:
        """A result's `next`; None for those who do not want it."""
        return next_window(self.model.tracker, targets, frame, starting=starting) if self.want.window else None

    def payload(self, draft: ResultDraft, epoch: int, now_s: float) -> Payload:
        """The message for a result that is sent now."""
        drops = self._counters.dropped
        dropped, self._sent_drops = drops - self._sent_drops, drops
        payload: Payload = {"type": "result", "seq": draft.seq, "epoch": epoch, "ts_us": draft.ts_us}
        payload["targets"] = draft.targets
        payload["age_ms"] = round((now_s - draft.received_s + draft.excess_s) * 1e3, 2)
        payload |= {"dropped": dropped, "dropped_total": drops}
        if draft.timings is not None:
            payload["timings"] = draft.timings | {"send_wait": round((now_s - draft.done_s) * 1e3, 2)}
        if draft.next is not None:
            payload["next"] = draft.next
        return payload | {"fps": {"in": self.rate_in.per_second, "out": self.rate_out.per_second}}

    def _excess(self, frame: Frame, now_s: float) -> float:
        if frame.ts_us is None:
            return 0.0
        excess, jumped = self._ages.excess_s(frame.ts_us, frame.received_s)
        if jumped:
            self.warn("clock_jump", "the time stamps jumped; ages start afresh", now_s)
        self.model.tally.delayed(excess)
        self._tell_slow_line(excess, frame.received_s)
        self.credit.late(excess)
        return excess

    def _tell_slow_line(self, excess_s: float, received_s: float) -> None:
        """With every frame that has a time stamp: how much later it came than the best ones."""
        if excess_s < SLOW_LINE_S:
            self._slow_since_s = None
        elif self._slow_since_s is None:
            self._slow_since_s = received_s
        elif received_s - self._slow_since_s >= SLOW_FOR_S:
            detail = "frames pile up on their way here: send smaller ones, or fewer"
            self.warn("low_bandwidth", detail, received_s, delay_ms=round(excess_s * 1e3, 1))


def _state_unseen(entry: Followed, target: Target) -> State:
    """The state of a target that was started on the frame, or moved there by a hint, which changes nothing else."""
    state = target.presence.state
    return State.TRACKING if state is entry.state is State.REACQUIRED else state  # one result says `reacquired`
