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
from models.frames import FrameLike, Picture, PixelRect
from models.geometry import Box, Size, kept_in_frame
from models.presence import Presence, State, advance, advance_long_term, in_doubt
from models.runtimes.base import ByteArray, Features, Runtime
from models.searching import lost_search_box
from models.spec import LostSearch, ModelSpec
from models.target import Estimate, Target, check_box


@dataclass(frozen=True, slots=True)
class _Look:
    """Where a target is looked for in a frame."""

    target: Target
    picture: Picture
    window: Window
    search_size: int
    complete: bool
    """whether the picture has all that this look needs"""


@dataclass(frozen=True, slots=True)
class _Conclusion:
    """What one frame changes in a target."""

    estimate: Estimate
    place: Box
    presence: Presence
    lost: bool


class Tracker:
    """Starts and follows targets with one model.

    Frames are (H, W, 3) uint8, BGR; for a step a part of one that shows `reach` gives the same boxes. Threads may share
    a tracker as long as no two use the same target at once.
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

    def follow(self, target: Target, frame: FrameLike) -> Estimate:
        """Looks for the target in its next frame and updates it in place."""
        return self.step([(target, frame)])[0]

    def step(self, pairs: Sequence[tuple[Target, FrameLike]]) -> list[Estimate]:
        """Looks for each target in its own next frame (targets may share one), in one run of the search graph.

        Targets that are searched in crops of another size take a run of their own. The targets are updated in place,
        and only once everything has succeeded. What a part of a frame lacks counts as lying outside the frame, and
        such a target is at best uncertain.
        """
        if len({id(target) for target, _ in pairs}) < len(pairs):
            raise ValueError("the same target stands twice in one step; give each target one frame at a time")
        looks = [self._look(target, Picture.of(frame)) for target, frame in pairs]
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index, look in enumerate(looks):
            groups[look.search_size].append(index)
        found: dict[int, _Conclusion] = {}
        for search_size, indices in groups.items():
            found |= zip(indices, self._searched([looks[i] for i in indices], search_size), strict=True)
        conclusions = [found[i] for i in range(len(pairs))]
        templates = [self._templates(look, new) for look, new in zip(looks, conclusions, strict=True)]
        for look, new, remembered in zip(looks, conclusions, templates, strict=True):
            target = look.target
            target.box, target.place = new.estimate.box, new.place
            target.presence, target.lost = new.presence, new.lost
            if remembered is not target.templates:
                target.templates, target.features = remembered, self.runtime.joined(remembered)
            target.frames += 1
        return [new.estimate for new in conclusions]

    def next_window(self, target: Target) -> Window:
        """The square of the next frame in which the target will be looked for."""
        return self._rules.search_window(target.place, self.spec.crop, self._next_search_size(target))

    def reach(self, target: Target) -> PixelRect:
        """The pixels that the target's next step may read: its window and, since some families cut between pixels, one
        pixel around it."""
        window = self.next_window(target)
        left, top = math.floor(window.x) - 1, math.floor(window.y) - 1
        right, bottom = math.ceil(window.x + window.side) + 1, math.ceil(window.y + window.side) + 1
        return PixelRect(left, top, right - left, bottom - top)

    def needs_whole(self, target: Target) -> bool:
        """Whether the target's next step needs the whole frame, wherever it looks."""
        return self._rules.fills_anew or self._renews_template(target)

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

    def _look(self, target: Target, picture: Picture) -> _Look:
        _check_frame(picture.pixels)
        complete = picture.whole or (picture.shows(self.reach(target)) and not self._rules.fills_anew)
        return _Look(target, picture, self.next_window(target), self._next_search_size(target), complete)

    def _searched(self, looks: Sequence[_Look], search_size: int) -> list[_Conclusion]:
        """One run of the search graph for crops of this size."""
        crops = self._buffers.take(len(looks), search_size)
        for look, crop in zip(looks, crops, strict=True):
            self._rules.cut(look.picture, look.window, crop, look.target.fill)
        sizes = [
            self._rules.penalty_size(look.target.place, look.window, self.spec.crop, search_size, look.target.frames)
            for look in looks
        ]
        loop = np.array([self._loop(look.target) for look in looks], np.float32)
        features = [look.target.features for look in looks]
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
        target, frame = look.target, Size(float(look.picture.frame_width), float(look.picture.frame_height))
        moved = self._moved(look, best) if valid else target.place
        kept = kept_in_frame(moved, frame, self.spec.loop.min_size)
        lost, presence = self._judged(look, score, ranking)
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

    def _judged(self, look: _Look, score: float, ranking: float) -> tuple[bool, Presence]:
        """Whether a long-term tracker has lost the target now, and the target's presence."""
        target, long_term = look.target, self.spec.long_term
        if long_term is None:
            presence = advance(target.presence, score, self.spec.presence)
        else:
            judged = ranking if long_term.judges_ranking else score
            lost = judged < long_term.hold or (target.lost and judged <= long_term.found)
            presence = advance_long_term(target.presence, lost, score, self.spec.presence)
        if not look.complete:
            presence = in_doubt(target.presence, presence)
        return long_term is not None and presence.state is State.LOST, presence

    def _renews_template(self, target: Target) -> bool:
        memory = self.spec.memory
        return memory is not None and (target.frames + 1) % memory.interval == 0

    def _templates(self, look: _Look, new: _Conclusion) -> tuple[Features, ...]:
        """The target's templates after this frame: every `interval` frames the oldest but the first gives way, unless
        there is only a part of the frame to cut the new one from."""
        target = look.target
        if not (self._renews_template(target) and look.picture.whole):
            return target.templates
        first, _, *others = target.templates
        return (first, *others, self._template(look.picture.pixels, new.place, target.fill))


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
