"""The tracking loop: one model, any number of targets; a batch gives what its members give alone."""

from __future__ import annotations

import math
import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.concluding import Conclusion, Found, Look, concluded
from models.crops import Colour, Window
from models.fading import faded
from models.families import FAMILIES
from models.frames import FrameLike, Picture, PixelRect
from models.geometry import Box, Size
from models.marking import AS_DRAWN, Marking
from models.presence import Presence
from models.runtimes.base import ByteArray, Features, Runtime
from models.runtimes.probing import Probe
from models.scanning import scan_due
from models.spec import LostSearch, ModelSpec
from models.target import Aim, Estimate, Target, check_box


class Tracker:
    """Starts and follows targets with one model.

    Frames are (H, W, 3) uint8, BGR; for a step a part of one that shows `reach` gives the same boxes. Threads may share
    a tracker as long as no two use the same target at once. `probe` is what the runtime was chosen by, if it was.
    """

    def __init__(self, spec: ModelSpec, runtime: Runtime, probe: Probe | None = None) -> None:
        self.spec = spec
        self.runtime = runtime
        self.probe = probe
        self._rules = FAMILIES[spec.family]
        self._buffers = _CropBuffers(self._rules.crop_type)

    def start(self, frame: ByteArray, box: Box) -> Target:
        """A new target at `box` in `frame`; raises TargetInvalid for a box that breaks the rules."""
        _check_frame(frame)
        check_box(box, _frame_size(frame))
        place, fill = self._rules.start(box), self._rules.fill(frame)
        count = 1 if self.spec.memory is None else self.spec.memory.length
        crops = (self._template_crop(frame, place, fill),) * count
        shape = self.shape(place)
        features, templates = self.remembered(crops, shape)
        search_size = self._search_size(box, _frame_size(frame))
        target = Target(box, place, features, templates, Presence(), fill, search_size, crops=crops, shape=shape)
        if self.spec.as_marked:
            target.marking = self._marking(target, frame)
        return target

    def shape(self, place: Box) -> Size | None:
        """Width and height of a target at `place` in its template crop, in its pixels, where the model asks for it."""
        if self.spec.second_template is None:
            return None
        size = self.spec.crop.template_size
        return self._rules.search_window(place, self.spec.crop, size).to_crop(place, size).size

    def remembered(self, crops: Sequence[NDArray[Any]], shape: Size | None) -> tuple[Features, tuple[Features, ...]]:
        """The features that the search takes for a target with these template crops, (Z, Z, 3) each, and those of each
        crop for a model with a memory. `shape` as `Target` has it."""
        if (second := self.spec.second_template) is not None and shape is not None:
            both = (crops[0], faded(crops[0], shape, second.background))
            return self.runtime.joined([self._features(crop) for crop in both]), ()
        features = {key: self._features(crop) for key, crop in {id(crop): crop for crop in crops}.items()}
        templates = tuple(features[id(crop)] for crop in crops)
        return (templates[0], ()) if self.spec.memory is None else (self.runtime.joined(templates), templates)

    def placed(self, target: Target, box: Box) -> Target:
        """A copy of the target that goes on from `box`, with the templates it has; its next frame is looked at."""
        return replace(target, box=box, place=self._rules.start(box), carry=None)

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
        conclusions = [concluded(each, self.spec, self._rules) for each in self._searched(looks)]
        templates = [self._templates(look, new) for look, new in zip(looks, conclusions, strict=True)]
        for look, new, (remembered, crops) in zip(looks, conclusions, templates, strict=True):
            target = look.target
            target.box, target.place = new.estimate.box, new.place
            target.presence, target.lost, target.guesses = new.presence, new.lost, new.guesses
            if remembered is not target.templates:
                target.templates, target.features = remembered, self.runtime.joined(remembered)
                target.crops = crops
            target.frames += 1
            target.time_s = look.picture.time_s
        return [new.estimate for new in conclusions]

    def next_window(self, target: Target) -> Window:
        """The square of the next frame in which the target will be looked for."""
        return self._aim(target).window

    def reach(self, target: Target) -> PixelRect:
        """The pixels that the target's next step may read: its window and, since some families cut between pixels, one
        pixel around it."""
        return self._aim(target).reach

    def needs_whole(self, target: Target) -> bool:
        """Whether the target's next step needs the whole frame, wherever it looks."""
        searched = (target.thresholds or self.spec.presence).search is LostSearch.AROUND and scan_due(target.presence)
        return searched or self._rules.fills_anew or self.renews_template(target)

    def renews_template(self, target: Target) -> bool:
        """Whether the target's next step cuts a new template."""
        memory = self.spec.memory
        return memory is not None and (target.frames + 1) % memory.interval == 0

    def _template_crop(self, frame: ByteArray, place: Box, fill: Colour) -> NDArray[Any]:
        size = self.spec.crop.template_size
        crop = np.empty((size, size, 3), self._rules.crop_type)
        self._rules.cut_template(frame, place, self.spec.crop, fill, crop)
        return crop

    def _features(self, crop: NDArray[Any]) -> Features:
        (features,) = self.runtime.template(crop[None])
        return features

    def _marking(self, target: Target, frame: ByteArray) -> Marking:
        """How the target was marked, from a look at it in the frame that it starts in."""
        look = self._look(target, Picture.of(frame))
        (found,) = self._searched([look])
        crop_box = Box.from_centre(*found.best[:4])
        drawn = self._rules.measured(crop_box, target.place, look.window, self.spec.crop, look.search_size)
        seen = found.best[4] >= self.spec.presence.enter
        return Marking.of(target.place, drawn, self.spec.as_marked) if seen else AS_DRAWN

    def _search_size(self, box: Box, frame: Size) -> int:
        small = self.spec.small_target
        if small is not None and box.w * box.h < small.area_share * frame.w * frame.h:
            return small.search_size
        return self.spec.crop.search_size

    def _next_search_size(self, target: Target) -> int:
        if self.spec.long_term is not None and target.lost:
            return self.spec.long_term.search_size
        return target.search_size

    def _aim(self, target: Target) -> Aim:
        """Where the target's next step looks. Several ask for it in each frame, so the target keeps it."""
        place, search_size, aim = target.place, self._next_search_size(target), target.aim
        if aim is None or aim.place is not place or aim.search_size != search_size:
            window = self._rules.search_window(place, self.spec.crop, search_size)
            left, top = math.floor(window.x) - 1, math.floor(window.y) - 1
            right, bottom = math.ceil(window.x + window.side) + 1, math.ceil(window.y + window.side) + 1
            aim = target.aim = Aim(place, search_size, window, PixelRect(left, top, right - left, bottom - top))
        return aim

    def _look(self, target: Target, picture: Picture) -> Look:
        _check_frame(picture.pixels)
        complete = picture.whole or (picture.shows(self.reach(target)) and not self._rules.fills_anew)
        aim = self._aim(target)
        return Look(target, picture, aim.window, aim.search_size, complete)

    def _searched(self, looks: Sequence[Look]) -> list[Found]:
        """What the search graph gives for each look, in one run for each size of crops."""
        groups: defaultdict[int, list[int]] = defaultdict(list)
        for index, look in enumerate(looks):
            groups[look.search_size].append(index)
        found: dict[int, Found] = {}
        for search_size, indices in groups.items():
            found |= zip(indices, self._run([looks[i] for i in indices], search_size), strict=True)
        return [found[i] for i in range(len(looks))]

    def _run(self, looks: Sequence[Look], search_size: int) -> list[Found]:
        """One run of the search graph for crops of this size."""
        crops = self._buffers.take(len(looks), search_size)
        for look, crop in zip(looks, crops, strict=True):
            self._rules.cut(look.picture, look.window, crop, look.target.fill)
        sizes = [self._drawn_size(look) for look in looks]
        loop = np.array([self._loop(look.target) for look in looks], np.float32)
        features = [look.target.features for look in looks]
        best, peak2 = self.runtime.search(features, crops, np.array(sizes, np.float32), loop)
        # Plain numbers from here on: a few dozen of them, where numpy would only be slower.
        marked = [look.target.marking.as_marked(row) for look, row in zip(looks, best.tolist(), strict=True)]
        return list(map(Found, looks, marked, peak2.tolist()))

    def _drawn_size(self, look: Look) -> Size:
        """The size in crop pixels that the network is expected to give the target's box."""
        target = look.target
        size = self._rules.penalty_size(target.place, look.window, self.spec.crop, look.search_size, target.frames)
        return target.marking.as_drawn(size)

    def _loop(self, target: Target) -> tuple[float, float, float]:
        loop, long_term = self.spec.loop, self.spec.long_term
        influence = long_term.window_influence if long_term and target.lost else loop.window_influence
        return loop.penalty_k, influence, loop.size_lr

    def _templates(self, look: Look, new: Conclusion) -> tuple[tuple[Features, ...], tuple[NDArray[Any], ...]]:
        """The target's templates after this frame, and their crops: every `interval` frames the oldest but the first
        gives way, unless there is only a part of the frame to cut the new one from."""
        target = look.target
        if not (self.renews_template(target) and look.picture.whole):
            return target.templates, target.crops
        crop = self._template_crop(look.picture.pixels, new.place, target.fill)
        templates = (target.templates[0], *target.templates[2:], self._features(crop))
        return templates, (target.crops[0], *target.crops[2:], crop)


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
