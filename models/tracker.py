"""The tracking loop: one model, any number of targets; a batch gives what its members give alone."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.crops import Colour, Window
from models.families import FAMILIES
from models.geometry import Box, Size, kept_in_frame
from models.presence import Presence, State, advance, advance_long_term
from models.runtimes.base import ByteArray, Features, Runtime
from models.searching import lost_search_box
from models.spec import LostSearch, ModelSpec
from models.target import Estimate, Target, check_box


@dataclass(frozen=True, slots=True)
class _Look:
    """Where a target is looked for in a frame."""

    target: Target
    frame: ByteArray
    window: Window
    search_size: int


@dataclass(frozen=True, slots=True)
class _Conclusion:
    """What one frame changes in a target."""

    estimate: Estimate
    place: Box
    presence: Presence
    lost: bool


class Tracker:
    """Starts and follows targets with one model.

    Frames are (H, W, 3) uint8, BGR. Threads may share a tracker as long as no two use the same target at once.
    """

    def __init__(self, spec: ModelSpec, runtime: Runtime) -> None:
        self.spec = spec
        self.runtime = runtime
        self._rules = FAMILIES[spec.family]
        self._buffers = _CropBuffers(self._rules.crop_type)

    def start(self, frame: ByteArray, box: Box) -> Target:
        """A new target at `box` in `frame`; raises TargetInvalid for a box that breaks the rules."""
        _check_frame(frame)
        check_box(box, _frame_size(frame))
        place, fill = self._rules.start(box), self._rules.fill(frame)
        features = self._template(frame, place, fill)
        templates: tuple[Features, ...] = ()
        if self.spec.memory is not None:
            templates = (features,) * self.spec.memory.length
            features = self.runtime.joined(templates)
        return Target(box, place, features, templates, Presence(), fill, self._search_size(box, _frame_size(frame)))

    def placed(self, target: Target, box: Box) -> Target:
        """A copy of the target that goes on from `box`, with the templates it has."""
        return replace(target, box=box, place=self._rules.start(box))

    def follow(self, target: Target, frame: ByteArray) -> Estimate:
        """Looks for the target in its next frame and updates it in place."""
        return self.step([(target, frame)])[0]

    def step(self, pairs: Sequence[tuple[Target, ByteArray]]) -> list[Estimate]:
        """Looks for each target in its own next frame (targets may share one), in one run of the search graph.

        Targets that are searched in crops of another size take a run of their own. The targets are updated in place,
        and only once everything has succeeded.
        """
        if len({id(target) for target, _ in pairs}) < len(pairs):
            raise ValueError("the same target stands twice in one step; give each target one frame at a time")
        for _, frame in pairs:
            _check_frame(frame)
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index, (target, _) in enumerate(pairs):
            groups[self._next_search_size(target)].append(index)
        found: dict[int, _Conclusion] = {}
        for search_size, indices in groups.items():
            found |= zip(indices, self._searched([pairs[i] for i in indices], search_size), strict=True)
        conclusions = [found[i] for i in range(len(pairs))]
        templates = [
            self._templates(target, frame, new) for (target, frame), new in zip(pairs, conclusions, strict=True)
        ]
        for (target, _), new, remembered in zip(pairs, conclusions, templates, strict=True):
            target.box, target.place = new.estimate.box, new.place
            target.presence, target.lost = new.presence, new.lost
            if remembered is not target.templates:
                target.templates, target.features = remembered, self.runtime.joined(remembered)
            target.frames += 1
        return [new.estimate for new in conclusions]

    def next_window(self, target: Target) -> Window:
        """The square of the next frame in which the target will be looked for."""
        return self._rules.search_window(target.place, self.spec.crop, self._next_search_size(target))

    def _template(self, frame: ByteArray, place: Box, fill: Colour) -> Features:
        size = self.spec.crop.template_size
        crop = np.empty((1, size, size, 3), self._rules.crop_type)
        self._rules.cut_template(frame, place, self.spec.crop, fill, crop[0])
        (features,) = self.runtime.template(crop)
        return features

    def _search_size(self, box: Box, frame: Size) -> int:
        small = self.spec.small_target
        if small is not None and box.w * box.h < small.area_share * frame.w * frame.h:
            return small.search_size
        return self.spec.crop.search_size

    def _next_search_size(self, target: Target) -> int:
        if self.spec.long_term is not None and target.lost:
            return self.spec.long_term.search_size
        return target.search_size

    def _searched(self, pairs: Sequence[tuple[Target, ByteArray]], search_size: int) -> list[_Conclusion]:
        """One run of the search graph for crops of this size."""
        looks = [_Look(target, frame, self.next_window(target), search_size) for target, frame in pairs]
        crops = self._buffers.take(len(looks), search_size)
        for look, crop in zip(looks, crops, strict=True):
            self._rules.cut(look.frame, look.window, crop, look.target.fill)
        sizes = [
            self._rules.penalty_size(look.target.place, look.window, self.spec.crop, search_size, look.target.frames)
            for look in looks
        ]
        loop = np.array([self._loop(target) for target, _ in pairs], np.float32)
        features = [target.features for target, _ in pairs]
        best, peak2 = self.runtime.search(features, crops, np.array(sizes, np.float32), loop)
        # Plain numbers from here on: a few dozen of them, where numpy would only be slower.
        rows = zip(looks, best.tolist(), peak2.tolist(), strict=True)
        return [self._concluded(look, row, second) for look, row, second in rows]

    def _loop(self, target: Target) -> tuple[float, float, float]:
        loop, long_term = self.spec.loop, self.spec.long_term
        influence = long_term.window_influence if long_term and target.lost else loop.window_influence
        return loop.penalty_k, influence, loop.size_lr

    def _concluded(self, look: _Look, best: Sequence[float], peak2: Sequence[float]) -> _Conclusion:
        """What the graph's numbers mean for one target. Numbers that are not finite count as not having seen it."""
        valid = all(map(math.isfinite, best))
        score, ranking, index = (best[4], best[6], int(best[7])) if valid else (0.0, 0.0, 0)
        target, frame = look.target, _frame_size(look.frame)
        moved = self._moved(look, best) if valid else target.place
        kept = kept_in_frame(moved, frame, self.spec.loop.min_size)
        lost, presence = self._judged(target, score, ranking)
        box, place = self._rules.report(kept), kept
        if self.spec.long_term is not None and self.spec.long_term.free_place:
            place = moved
        if presence.state is State.LOST and self.spec.presence.search is LostSearch.AROUND:
            # The box stays where the target was seen last; so does the size, since a wrong one would spoil later crops.
            box = target.box
            if score >= self.spec.presence.leave:
                place = Box.from_centre(kept.cx, kept.cy, box.w, box.h)
            else:
                place = lost_search_box(box, look.window.side, frame, presence.low)
        runner_up = peak2[0] if math.isfinite(peak2[0]) else 0.0
        estimate = Estimate(box, score, presence.state, runner_up, look.window, ranking, index)
        return _Conclusion(estimate, place, presence, lost)

    def _moved(self, look: _Look, best: Sequence[float]) -> Box:
        """The place after the network has pointed somewhere: its centre, and a size between the old and the new one.

        w = old.w (1 - rate) + new.w rate; h alike (the same in every published loop)."""
        cx, cy, w, h, score, penalty, ranking, _ = best
        old, long_term = look.target.place, self.spec.long_term
        if long_term is not None and score < long_term.hold:
            return old
        crop_box = Box.from_centre(cx, cy, w, h)
        new = self._rules.measured(crop_box, old, look.window, self.spec.crop, look.search_size)
        rate = self._rules.rate(penalty, score, ranking) * self.spec.loop.size_lr
        return Box.from_centre(new.cx, new.cy, old.w * (1 - rate) + new.w * rate, old.h * (1 - rate) + new.h * rate)

    def _judged(self, target: Target, score: float, ranking: float) -> tuple[bool, Presence]:
        """Whether a long-term tracker has lost the target now, and the target's presence."""
        long_term = self.spec.long_term
        if long_term is None:
            return False, advance(target.presence, score, self.spec.presence)
        judged = ranking if long_term.judges_ranking else score
        lost = judged < long_term.hold or (target.lost and judged <= long_term.found)
        return lost, advance_long_term(target.presence, lost, score, self.spec.presence)

    def _templates(self, target: Target, frame: ByteArray, new: _Conclusion) -> tuple[Features, ...]:
        """The target's templates after this frame: every `interval` frames the oldest but the first gives way."""
        memory = self.spec.memory
        if memory is None or (target.frames + 1) % memory.interval:
            return target.templates
        first, _, *others = target.templates
        return (first, *others, self._template(frame, new.place, target.fill))


def _check_frame(frame: ByteArray) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise ValueError(f"a frame is a (H, W, 3) uint8 array, got {frame.shape} {frame.dtype}")


def _frame_size(frame: ByteArray) -> Size:
    return Size(float(frame.shape[1]), float(frame.shape[0]))


class _CropBuffers(threading.local):
    """Crop arrays of each thread: one for each size of crops, as large as the largest batch the thread has seen."""

    def __init__(self, kind: type[np.uint8] | type[np.float32]) -> None:
        self._kind = kind
        self._crops: dict[int, NDArray[Any]] = {}

    def take(self, count: int, size: int) -> NDArray[Any]:
        """(count, size, size, 3), valid until the same thread's next call with this size."""
        crops = self._crops.get(size)
        if crops is None or len(crops) < count:
            crops = self._crops[size] = np.empty((count, size, size, 3), self._kind)
        return crops[:count]
