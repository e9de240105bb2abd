"""The tracking loop: one model, any number of targets; a batch gives what its members give alone."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from models.crops import Colour, Window, cut, mean_colour
from models.families import FAMILIES
from models.geometry import Box, Size, kept_in_frame
from models.presence import Presence, State, advance
from models.runtimes.base import ByteArray, Features, FloatArray, Runtime
from models.searching import lost_search_box
from models.spec import ModelSpec

MIN_BOX_SIDE = 4.0
"""Smallest width and height of a box that a target may start with, in pixels."""
MAX_BOX_RATIO = 2.0
"""Largest width and height of such a box, in frame widths and heights."""


class TargetInvalid(ValueError):
    """A box that nothing can be started with. `field` is x, y, w or h; `code` is not_finite, too_small, too_large or
    outside; the message names the value and the limit.
    """

    def __init__(self, field: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.code = code


@dataclass(slots=True)
class Target:
    """One object that is followed: plain data, which may be copied, pickled and moved.

    `box` is the last one that was believed; the search goes on around `search_box`, which leaves `box` only while the
    target is lost.
    """

    box: Box
    search_box: Box
    features: Features
    presence: Presence
    fill: Colour
    frames: int


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where a target is in a frame.

    `box` in frame pixels; `score` and `peak2` (the runner-up's score) 0..1; `window` is where it looked.
    """

    box: Box
    score: float
    state: State
    peak2: float
    window: Window


class Tracker:
    """Starts and follows targets with one model.

    Frames are (H, W, 3) uint8, BGR. Threads may share a tracker as long as no two use the same target at once.
    """

    def __init__(self, spec: ModelSpec, runtime: Runtime) -> None:
        self.spec = spec
        self.runtime = runtime
        self._rules = FAMILIES[spec.family]
        self._buffers = _CropBuffers(spec.crop.search_size)

    def start(self, frame: ByteArray, box: Box) -> Target:
        """A new target at `box` in `frame`; raises TargetInvalid for a box that breaks the rules."""
        _check_frame(frame)
        check_box(box, _frame_size(frame))
        size = self.spec.crop.template_size
        fill = mean_colour(frame)
        crop = np.empty((1, size, size, 3), np.uint8)
        cut(frame, self._rules.template_window(box, self.spec.crop), crop[0], fill)
        (features,) = self.runtime.template(crop)
        return Target(box, box, features, Presence(), fill, frames=0)

    def follow(self, target: Target, frame: ByteArray) -> Estimate:
        """Looks for the target in its next frame and updates it in place."""
        return self.step([(target, frame)])[0]

    def step(self, pairs: Sequence[tuple[Target, ByteArray]]) -> list[Estimate]:
        """Looks for each target in its own next frame (targets may share one), in one run of the search graph.

        The targets are updated in place, and only once everything has succeeded.
        """
        if not pairs:
            return []
        if len({id(target) for target, _ in pairs}) < len(pairs):
            raise ValueError("the same target stands twice in one step; give each target one frame at a time")
        for _, frame in pairs:
            _check_frame(frame)
        windows = [self.next_window(target) for target, _ in pairs]
        crops = self._buffers.take(len(pairs))
        for (target, frame), window, crop in zip(pairs, windows, crops, strict=True):
            cut(frame, window, crop, target.fill)
        features = [target.features for target, _ in pairs]
        found = self.runtime.search(features, crops, self._sizes(pairs, windows), self._loop(len(pairs)))
        # Plain numbers from here on: a few dozen of them, where numpy would only be slower.
        steps = [
            self._concluded(target, _frame_size(frame), window, best, peak2)
            for (target, frame), window, best, peak2 in zip(
                pairs, windows, found.best.tolist(), found.peak2.tolist(), strict=True
            )
        ]
        for (target, _), (estimate, search_box, presence) in zip(pairs, steps, strict=True):
            target.box, target.search_box, target.presence = estimate.box, search_box, presence
            target.frames += 1
        return [estimate for estimate, _, _ in steps]

    def next_window(self, target: Target) -> Window:
        """The square of the next frame in which the target will be looked for."""
        return self._rules.search_window(target.search_box, self.spec.crop)

    def _sizes(self, pairs: Sequence[tuple[Target, ByteArray]], windows: Sequence[Window]) -> FloatArray:
        size = self.spec.crop.search_size
        boxes = [window.to_crop(target.search_box, size) for (target, _), window in zip(pairs, windows, strict=True)]
        return np.array([box.size for box in boxes], np.float32)

    def _loop(self, count: int) -> FloatArray:
        loop = self.spec.loop
        return np.tile(np.array([loop.penalty_k, loop.window_influence, loop.size_lr], np.float32), (count, 1))

    def _concluded(
        self, target: Target, frame: Size, window: Window, best: Sequence[float], peak2: Sequence[float]
    ) -> tuple[Estimate, Box, Presence]:
        """What the graph's numbers mean for one target: the estimate, where to search next, and its presence.

        Numbers that are not finite count as not having seen it.
        """
        valid = all(map(math.isfinite, best))
        cx, cy, w, h, score, penalty = best if valid else (0.0,) * 6
        presence = advance(target.presence, score, self.spec.presence)
        moved = target.search_box
        if valid:
            measured = self._rules.to_frame(Box.from_centre(cx, cy, w, h), window, self.spec.crop)
            smoothed = self._rules.smooth(moved, measured, penalty, score, self.spec.loop)
            moved = kept_in_frame(smoothed, frame, self.spec.loop.min_size)
        box, search_box = moved, moved
        if presence.state is State.LOST:
            # The box stays where the target was seen last; so does the size, since a wrong one would spoil later crops.
            box = target.box
            if score >= self.spec.presence.leave:
                search_box = Box.from_centre(moved.cx, moved.cy, box.w, box.h)
            else:
                search_box = lost_search_box(box, window.side, frame, presence.low)
        runner_up = peak2[0] if math.isfinite(peak2[0]) else 0.0
        return Estimate(box, score, presence.state, runner_up, window), search_box, presence


def check_box(box: Box, frame: Size) -> None:
    """Raises TargetInvalid unless `box` is finite, of a sensible size, and has its centre inside the frame."""
    for field, value in zip("xywh", box.xywh(), strict=True):
        if not math.isfinite(value):
            raise TargetInvalid(field, "not_finite", f"{field} is {value}; it must be a finite number")
    for field, value, side in (("w", box.w, frame.w), ("h", box.h, frame.h)):
        if value < MIN_BOX_SIDE:
            raise TargetInvalid(field, "too_small", f"{field} is {value:g} px; it must be at least {MIN_BOX_SIDE:g} px")
        if value > MAX_BOX_RATIO * side:
            limit = f"{MAX_BOX_RATIO * side:g} px, {MAX_BOX_RATIO:g} times the frame's {side:g} px"
            raise TargetInvalid(field, "too_large", f"{field} is {value:g} px; it must be at most {limit}")
    for field, centre, side in (("x", box.cx, frame.w), ("y", box.cy, frame.h)):
        if not 0 <= centre <= side:
            message = f"the centre's {field} is {centre:g} px; it must be inside the frame, 0 to {side:g} px"
            raise TargetInvalid(field, "outside", message)


def _check_frame(frame: ByteArray) -> None:
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or frame.size == 0:
        raise ValueError(f"a frame is a (H, W, 3) uint8 array, got {frame.shape} {frame.dtype}")


def _frame_size(frame: ByteArray) -> Size:
    return Size(float(frame.shape[1]), float(frame.shape[0]))


class _CropBuffers(threading.local):
    """One crop array for each thread, as large as the largest batch that the thread has seen."""

    def __init__(self, size: int) -> None:
        self._crops: ByteArray = np.empty((1, size, size, 3), np.uint8)

    def take(self, count: int) -> ByteArray:
        """(count, S, S, 3), valid until the same thread's next call."""
        if len(self._crops) < count:
            self._crops = np.empty((count, *self._crops.shape[1:]), np.uint8)
        return self._crops[:count]
