"""Carries a target from one look of the network to the next: its box moves by what the grey picture around it did.

Template matching on a small patch costs a few tenths of a millisecond, where a look costs several. It is trusted only
while the target is calm: the last look was sure and found it near where it was, and what matches now is very like it
and near as well. Whatever else happens, the network looks at that very frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from models.frames import FrameLike, Picture, PixelRect
from models.geometry import Box
from models.presence import State
from models.runtimes.base import ByteArray
from models.searching import Search
from models.spec import PresenceSpec
from models.target import Carry, Estimate, Patch, Target
from models.tracker import Tracker

SIDE = 32
"""Side of the target in the grey patches that are compared, in pixels."""
CONTEXT = 2
"""Side of a patch, in sides of the target."""
CERTAINTY = 0.8
"""Normalised correlation from which what matches is the target."""
LONGEST_STEP = 0.15
"""How far a calm target moves from one frame to the next, in its own sides."""


class Motion(NamedTuple):
    """How far something moved, in pixels of the patch, and how sure that is: -1..1."""

    dx: float
    dy: float
    certainty: float


@dataclass(frozen=True, slots=True)
class Carrier:
    """Spreads the looks of a tracker. Threads may share it as they share the tracker."""

    tracker: Tracker
    certainty: float = CERTAINTY
    longest_step: float = LONGEST_STEP

    def follow(self, target: Target, frame: FrameLike, cadence: int) -> Estimate:
        """Where the target is in its next frame: carried if it can be, else looked for; it is updated in place."""
        carried = self.carried(target, frame, cadence)
        if carried is not None:
            return carried
        before = target.box
        estimate = self.tracker.follow(target, frame)
        if cadence > 1:
            self.looked(target, frame, before, estimate)
        return estimate

    def carried(self, target: Target, frame: FrameLike, cadence: int) -> Estimate | None:
        """Where the target is in its next frame, if it can be carried there; it is updated in place. None: the network
        has to look, as it does in one of `cadence` frames at least."""
        carry, picture = target.carry, Picture.of(frame)
        if carry is None or carry.frames >= cadence - 1 or self.tracker.renews_template(target):
            return None
        patch = _patch(picture, target.box)
        if patch is None:
            return None
        motion = matched(carry.patch.grey, patch.grey)
        far = max(abs(motion.dx), abs(motion.dy)) > self.longest_step * SIDE
        if far or motion.certainty < self.certainty:
            return None
        dx, dy = (part / (SIDE * CONTEXT) for part in (motion.dx * patch.width, motion.dy * patch.height))
        box = _moved(target.box, dx, dy)
        if not (0 <= box.cx <= picture.frame_width and 0 <= box.cy <= picture.frame_height):
            return None
        target.box, target.place = box, _moved(target.place, dx, dy)
        target.carry = carry._replace(frames=carry.frames + 1)
        target.frames += 1
        # `time_s` stays that of the last look: what the next one says counts for the time since then.
        return replace(carry.estimate, box=box, search=Search.CARRIED)

    def looked(self, target: Target, frame: FrameLike, before: Box, estimate: Estimate) -> None:
        """Notes what the network's look at this frame found; `before`: the target's box in the frame before."""
        target.carry = None
        if self._is_calm(before, estimate, target.thresholds or self.tracker.spec.presence):
            patch = _patch(Picture.of(frame), estimate.box)
            target.carry = None if patch is None else Carry(patch, estimate, 0)

    def _is_calm(self, before: Box, estimate: Estimate, thresholds: PresenceSpec) -> bool:
        box = estimate.box
        step = max(abs(box.cx - before.cx) / box.w, abs(box.cy - before.cy) / box.h)
        return estimate.state is State.TRACKING and estimate.score >= thresholds.enter and step <= self.longest_step


def matched(before: ByteArray, after: ByteArray) -> Motion:
    """Normalised correlation of the target in one patch with all of the other, to a fraction of a pixel."""
    low = (before.shape[0] - SIDE) // 2
    target = before[low : low + SIDE, low : low + SIDE]
    response = np.asarray(cv2.matchTemplate(after, target, cv2.TM_CCOEFF_NORMED), np.float32)
    _, peak, _, (x, y) = cv2.minMaxLoc(response)
    return Motion(x - low + _vertex(response[y], x), y - low + _vertex(response[:, x], y), peak)


def _patch(picture: Picture, box: Box) -> Patch | None:
    """What lies around the box; outside the frame the border's pixels go on. None if the picture lacks a part of it."""
    width, height = box.w * CONTEXT, box.h * CONTEXT
    wanted = PixelRect(int(box.cx - width / 2), int(box.cy - height / 2), int(width) + 3, int(height) + 3)
    inside = wanted.inside(picture.frame_width, picture.frame_height)
    if inside is None or not picture.shows(wanted):
        return None
    if picture.scaled_from is None:
        x, y = inside.x - picture.x, inside.y - picture.y
        part, corner = picture.pixels[y : y + inside.height, x : x + inside.width], inside
    else:
        part, corner = picture.pixels, PixelRect(picture.x, picture.y, picture.width, picture.height)
    side, (across, down) = SIDE * CONTEXT, picture.scale
    left, top = box.cx - width / 2 - corner.x + 0.5, box.cy - height / 2 - corner.y + 0.5
    to_part = np.array([[width / side * across, 0, left * across - 0.5], [0, height / side * down, top * down - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(part, to_part, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return Patch(np.asarray(cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY), np.uint8), width, height)


def _vertex(line: NDArray[np.float32], i: int) -> float:
    """Where the parabola through a peak and its neighbours has its vertex, from the peak on."""
    if not 0 < i < len(line) - 1:
        return 0.0
    left, middle, right = (float(value) for value in line[i - 1 : i + 2])
    bend = left - 2 * middle + right
    return 0.0 if bend >= 0 else 0.5 * (left - right) / bend


def _moved(box: Box, dx: float, dy: float) -> Box:
    return replace(box, x=box.x + dx, y=box.y + dy)
