"""A target: what is remembered of it between frames, what is said of it for a frame, and which boxes may start one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from numpy.typing import NDArray

from models.crops import Colour, Window
from models.frames import PixelRect
from models.geometry import Box, Size
from models.marking import AS_DRAWN, Marking
from models.presence import Presence, State
from models.runtimes.base import ByteArray, Features
from models.scanning import NO_GUESSES, Guesses
from models.searching import Search
from models.spec import PresenceSpec

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


class Patch(NamedTuple):
    """The surroundings of a box in grey, and their width and height in frame pixels."""

    grey: ByteArray
    width: float
    height: float


class Carry(NamedTuple):
    """What a target takes along that is carried between two looks: the last look, what it saw, and for how many frames
    it has been carried since."""

    patch: Patch
    estimate: Estimate
    frames: int


class Aim(NamedTuple):
    """Where a target at `place` is looked for: the window that is scaled to `search_size` pixels, and all that the look
    may read."""

    place: Box
    search_size: int
    window: Window
    reach: PixelRect


@dataclass(slots=True)
class Target:
    """One object that is followed: plain data, which may be copied, pickled and moved.

    `box` is the last one that was reported. `place` is the loop's own state, around which the search goes on: a box in
    the numbers of the model's family. `lost` belongs to long-term trackers, `templates` to those with a memory.
    """

    box: Box
    place: Box
    features: Features
    templates: tuple[Features, ...]
    presence: Presence
    fill: Colour
    search_size: int
    lost: bool = False
    frames: int = 0
    time_s: float | None = None
    """when its last frame was taken, see `Picture`"""
    thresholds: PresenceSpec | None = None
    """in place of the model's"""
    carry: Carry | None = None
    """see `models.carrying`; None where the next frame is looked at"""
    guesses: Guesses = NO_GUESSES
    """where a lost target may be"""
    marking: Marking = AS_DRAWN
    """how its boxes are marked"""
    crops: tuple[NDArray[Any], ...] = ()
    """what the features were made of, one for each of `templates` or a single one: (Z, Z, 3); never changed"""
    shape: Size | None = None
    """width and height that it had in the first crop, in its pixels; where that makes a second template"""
    aim: Aim | None = None
    """what `Tracker.next_window` and `Tracker.reach` worked out last"""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Where a target is in a frame.

    `box` in frame pixels; `score`, `ranking` (the score after penalty and window) and `peak2` (the runner-up's score)
    0..1; `index` of the chosen candidate; `window` is where it looked; `search` how far it will look next;
    `probability` that the box is on the target, 0..1: of a calibrated model, else the score again.
    """

    box: Box
    score: float
    state: State
    peak2: float
    window: Window
    ranking: float
    index: int
    search: Search
    probability: float


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
