"""Operations on a session and its targets, in the order in which they came, each with one answer and one effect."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from models.geometry import Box
from models.presence import State
from models.target import Target
from service.engine.backlog import Ring
from service.engine.counters import Tally
from service.engine.jobs import Failure, Followed, Replay, Start, StartOrder
from service.ids import new_id
from service.protocol.header import Frame
from service.protocol.messages import Operation, SessionUpdate, TargetAdd, TargetRemove, TargetsSet, TargetUpdate
from service.protocol.requests import TargetRequest
from service.protocol.results import Payload, ack, error, refusal

REMEMBERED = 256
MAX_PENDING = 16
ARRIVAL_WAIT_S = 2.0
MAX_CATCH_UP = 8


@dataclass(frozen=True, slots=True)
class Answer:
    """What an order came to; `op` is None for the targets of a create, which get errors only."""

    op: str | None
    failure: Failure | None = None
    on_seq: int | None = None
    caught_up: int = 0


def requested_start(request: TargetRequest, pointer: str) -> Start:
    """The start of a new target."""
    seq = None if request.on_seq == "next" else request.on_seq
    followed = Followed(request.id or new_id("tgt"), request.label)
    return Start(followed, Box(*request.box), seq, pointer=pointer, follows_next=seq is None)


class Operations:
    """Pending operations of one session, and the acknowledgements of the last ones."""

    def __init__(
        self,
        followed: dict[str, Followed],
        ring: Ring,
        max_targets: int,
        say: Callable[[Payload], None],
        update: Callable[[SessionUpdate], Failure | None],
    ) -> None:
        self._followed = followed
        self._ring = ring
        self._max_targets = max_targets
        self._say = say
        self._update = update
        self._pending: list[TargetRemove | SessionUpdate | StartOrder] = []
        self._busy = False
        self._acks: OrderedDict[str, Payload | None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._pending)

    def create(self, starts: Sequence[Start]) -> None:
        """The targets that a session is created with; each stands for itself."""
        self._pending.extend(StartOrder(None, [start]) for start in starts)

    def put(self, operation: Operation, now_s: float) -> Payload | None:
        """Takes an operation in. Returns the answer of a repeated one, or of one too many."""
        if operation.op in self._acks:
            return self._acks[operation.op]
        if len(self._pending) >= MAX_PENDING:
            return refusal(operation.op, "busy", f"{MAX_PENDING} operations wait already")
        self._acks[operation.op] = None
        while len(self._acks) > REMEMBERED:
            self._acks.popitem(last=False)
        if isinstance(operation, SessionUpdate) and all(waiting.op is None for waiting in self._pending):
            self._pending.insert(0, operation)  # targets of a create may wait for their frame for ever
        elif isinstance(operation, TargetRemove | SessionUpdate):
            self._pending.append(operation)
        else:
            order = self._order(operation)
            order.deadline_s = now_s + ARRIVAL_WAIT_S
            self._pending.append(order)
        return None

    def withdraw(self, op: str) -> None:
        """Forgets an operation that has not been worked off: whoever asked for it has been told that it failed."""
        self._pending = [waiting for waiting in self._pending if waiting.op != op]

    @contextmanager
    def placed(self, target_id: str | None, box: Box) -> Iterator[bool]:
        """Meanwhile a target that no operation asked for, and that still waits for its frame, is to start at that box
        of the next one. False if there is none of that id."""
        orders = (order for order in self._pending if isinstance(order, StartOrder) and order.op is None)
        order = next((order for order in orders if order.starts[0].followed.id == target_id), None)
        if order is None:
            yield False
            return
        (start,) = order.starts
        order.starts = [replace(start, box=box, seq=None, frame=None, pointer="/box", follows_next=True)]
        try:
            yield True
        finally:
            order.starts = [start]  # of use only if it waits on, as after a damaged frame

    def answer(self, answer: Answer) -> None:
        """Says what an order came to: an ack, which is remembered in case the operation is repeated, or for the targets
        of a create what went wrong."""
        failure = answer.failure
        if answer.op is None:
            if failure is not None:
                self._say(error(failure.code, failure.detail, pointer=failure.pointer))
            return
        if failure is not None:
            payload = refusal(answer.op, failure.code, failure.detail, failure.pointer)
        else:
            payload = ack(answer.op, on_seq=answer.on_seq, caught_up=answer.caught_up)
        if answer.op in self._acks:
            self._acks[answer.op] = payload
        self._say(payload)

    def arrived(self, frame: Frame) -> None:
        """A frame came: whatever waited for the next one means this one."""
        for order in self._pending:
            if isinstance(order, TargetRemove | SessionUpdate):
                continue
            # Targets of a create wait for the first frame as long as it takes, and from then on like all others.
            order.deadline_s = min(order.deadline_s, frame.received_s + ARRIVAL_WAIT_S)
            for start in order.starts:
                if start.seq is None and frame.window is None:  # nothing can be started on a window
                    start.seq = frame.seq
                if start.seq == frame.seq:
                    start.frame = frame

    def wait_for_next(self, order: StartOrder, place: int) -> bool:
        """Puts an order back to that place whose first frame was damaged, if any frame will do for it."""
        if not all(start.follows_next for start in order.starts):
            return False
        for start in order.starts:
            start.seq = start.frame = None
        self._pending.insert(place, order)
        return True

    def restart(self, seq: int) -> tuple[list[str], list[str]]:
        """Has every target started anew by another model, before whatever else waits: in frame `seq`, which its box is
        from, if that is still here as a whole, and in the next whole one otherwise. Nothing is known of a lost target
        that it could be started from: it is followed no more. Returns the ids of those, and of these."""
        removed = [entry.id for entry in self._followed.values() if entry.state is State.LOST]
        for target_id in removed:
            del self._followed[target_id]
        frame = self._ring.find(seq)
        whole = frame if frame is not None and frame.window is None else None
        orders = []
        for entry in self._followed.values():
            if entry.target is None:
                continue  # it waits already
            start = Start(entry, entry.target.box, None if whole is None else seq, follows_next=True, updates=True)
            start.frame = whole
            orders.append(StartOrder(None, [start]))
            entry.target, entry.state = None, State.INITIALIZING
        self._pending[:0] = orders
        return list(self._followed), removed

    def restarts(self) -> list[Payload]:
        """The targets that wait to be started anew, as a create names them for the next frame."""
        orders = [order for order in self._pending if isinstance(order, StartOrder) and order.op is None]
        starts = [start for order in orders for start in order.starts if start.updates]
        return [{"id": s.followed.id, "label": s.followed.label, "box": list(s.box.xywh())} for s in starts]

    def abandon(self, order: StartOrder) -> None:
        """Forgets the targets that could not be started anew."""
        for start in order.starts:
            if start.followed.target is None and self._followed.get(start.followed.id) is start.followed:
                del self._followed[start.followed.id]

    def settle(self, now_s: float, newest_seq: int) -> bool:
        """Answers the leading operations that need no worker; True if the next one is ready for a worker.

        While a worker has orders nothing is answered, since answers come in the order of their operations."""
        while self._pending:
            operation = self._pending[0]
            if isinstance(operation, TargetRemove | SessionUpdate):
                if self._busy:
                    return False
                self._pending.pop(0)
                if isinstance(operation, TargetRemove):
                    self._remove(operation)
                else:
                    self.answer(Answer(operation.op, self._update(operation)))
                continue
            failure = self._obstacle(operation) or self._missing_frame(operation, now_s, newest_seq)
            if failure is None:
                return all(start.frame is not None for start in operation.starts)
            if self._busy:
                return False
            self._pending.pop(0)
            self.answer(Answer(operation.op, failure))
        return False

    def take(
        self, next_seq: int | None, now_s: float, newest_seq: int
    ) -> tuple[tuple[StartOrder, tuple[Replay, ...]], ...]:
        """The orders for a job, each with the frames to catch up on: those before `next_seq`, the frame that targets
        are looked for in next, be it in this job or later. None: no frame waits for that."""
        if not self._pending:
            return ()
        taken: list[tuple[StartOrder, tuple[Replay, ...]]] = []
        touched: set[str] = set()
        while self.settle(now_s, newest_seq):
            order = self._pending[0]
            assert isinstance(order, StartOrder)
            ids = {start.followed.id for start in order.starts}
            late = next_seq is not None and any((start.seq or 0) > next_seq for start in order.starts)
            if late or ids & touched or (taken and order.replaces_all):
                break
            if len(touched | set(self._followed)) >= self._max_targets and not ids <= set(self._followed) and taken:
                break  # whether there is room shows when the orders before this one have come to an end
            self._pending.pop(0)
            self._busy = True
            touched |= ids
            taken.append((order, tuple(self._replay(start, next_seq) for start in order.starts)))
            if order.replaces_all:
                break
        return tuple(taken)

    def finished(self) -> None:
        """The job is over that held orders."""
        self._busy = False

    def _replay(self, start: Start, next_seq: int | None) -> Replay:
        assert start.frame is not None
        return Replay(start, self._ring.between(start.frame.seq, next_seq, MAX_CATCH_UP))

    def _order(self, operation: TargetAdd | TargetUpdate | TargetsSet) -> StartOrder:
        if isinstance(operation, TargetsSet):
            starts = [requested_start(item, f"/targets/{i}/box") for i, item in enumerate(operation.targets)]
            return StartOrder(operation.op, [self._known(start) for start in starts], replaces_all=True)
        if isinstance(operation, TargetAdd):
            return StartOrder(operation.op, [self._known(requested_start(operation, "/box"))])
        followed = self._followed.get(operation.id, Followed(operation.id))
        seq = None if operation.on_seq == "next" else operation.on_seq
        start = Start(
            followed,
            Box(*operation.box),
            seq,
            operation.mode,
            label=operation.label,
            follows_next=seq is None,
            updates=True,
        )
        return StartOrder(operation.op, [self._known(start)])

    def _known(self, start: Start) -> Start:
        start.frame = self._ring.find(start.seq) if start.seq is not None else None
        return start

    def _remove(self, operation: TargetRemove) -> None:
        known = self._followed.pop(operation.id, None)
        failure = None if known else Failure("unknown_target", f"there is no target {operation.id!r}", "/id")
        self.answer(Answer(operation.op, failure))

    def _obstacle(self, order: StartOrder) -> Failure | None:
        """What of the session's present targets forbids this order."""
        if order.replaces_all:
            count, limit = len(order.starts), self._max_targets
            return Failure("too_many_targets", f"{count} targets; the limit is {limit}") if count > limit else None
        for start in order.starts:
            known = self._followed.get(start.followed.id)
            if start.updates:
                if known is None:
                    return Failure("unknown_target", f"there is no target {start.followed.id!r}", "/id")
                start.followed = known
            elif known is not None:
                return Failure("duplicate_id", f"there is a target {known.id!r} already", "/id")
            elif len(self._followed) >= self._max_targets:
                return Failure("too_many_targets", f"the limit is {self._max_targets} targets")
        return None

    def _missing_frame(self, order: StartOrder, now_s: float, newest_seq: int) -> Failure | None:
        for start in order.starts:
            if start.frame is not None and start.frame.window is not None:
                return Failure("seq_too_old", f"of frame {start.seq} only a window came; send the box for a full frame")
            if start.seq is None or start.frame is not None:
                continue
            if start.seq <= newest_seq:
                return Failure("seq_too_old", f"frame {start.seq} is no longer kept; send the box for a newer one")
            if now_s >= order.deadline_s:
                return Failure("seq_not_arrived", f"frame {start.seq} has not come; the newest is {newest_seq}")
        return None


def committed(followed: dict[str, Followed], order: StartOrder, targets: Mapping[Start, Target], tally: Tally) -> None:
    """Lets an order take effect whose targets were all started."""
    if order.replaces_all:
        followed.clear()
    for start, target in targets.items():
        entry = start.followed
        entry.target = target
        if start.mode == "reinit":
            _begin_anew(entry, tally)
        elif entry.looked_s is not None:
            entry.looked_s = float("-inf")  # it stays given up, but is looked for at once where it is said to be
        entry.label = start.label if start.updates and start.label is not None else entry.label
        followed[entry.id] = entry


def _begin_anew(entry: Followed, tally: Tally) -> None:
    """What was true of the target before it was started on this box is so no more."""
    if entry.state is not State.INITIALIZING:
        tally.moved(entry.state, State.INITIALIZING)
    entry.state, entry.lost_since_s, entry.looked_s = State.INITIALIZING, None, None
