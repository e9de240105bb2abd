"""An experiment: a cheap step carries a target from one frame that the network sees to the next one that it sees.

    python -m tests.benchmarks.cadence --folder FOLDER                      # the default model
    python -m tests.benchmarks.cadence --folder FOLDER --model NAME_OR_FOLDER

A carrier moves the last box by what the grey picture around it did: by template matching, or by optical flow of a grid
of points. It is asked for at most `stride - 1` frames in a row, only while the network's last score was high and its
last step short, and the network looks at the same frame if the carrier is not sure. The table tells accuracy, the
share of frames that the network saw, the cost of a carrier's step, and how many times as many streams a core carries
if every frame also costs what `--other-ms` says (transport, decoding, Python).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from models.frames import Picture
from models.geometry import Box
from models.package import DEFAULT_MODEL, load_tracker
from models.presence import State
from models.runtimes.base import ByteArray
from models.target import Estimate, Target
from models.tracker import Tracker
from training.evaluation.metrics import mean_scores
from training.evaluation.ope import Answer, evaluate
from training.evaluation.sequences import read_sequences

PATCH = 32
"""Side of the target in the grey pictures that the carriers compare."""
CONTEXT = 2
"""Side of the grey pictures, in sides of the target."""


class Patch(NamedTuple):
    """The surroundings of a box in grey, `PATCH * CONTEXT` pixels wide and high, and their size in frame pixels."""

    grey: ByteArray
    width: float
    height: float


class Motion(NamedTuple):
    """How far something moved, in pixels of the patch, and how sure that is: 0..1."""

    dx: float
    dy: float
    certainty: float


Carrier = Callable[[ByteArray, ByteArray], Motion]


@dataclass(frozen=True, slots=True)
class Policy:
    """When the network may rest."""

    carrier: Carrier
    stride: int
    score: float
    """of the network's last look"""
    motion: float
    """the longest step that still counts as little, in sides of the target"""
    certainty: float


def patch_of(frame: ByteArray, box: Box) -> Patch:
    """What lies around the box; outside the frame the border's pixels go on."""
    width, height = box.w * CONTEXT, box.h * CONTEXT
    side = PATCH * CONTEXT
    scale = np.array([[width / side, 0, box.cx - width / 2], [0, height / side, box.cy - height / 2]], np.float64)
    left, top = max(int(box.cx - width / 2), 0), max(int(box.cy - height / 2), 0)
    part = frame[top : int(box.cy + height / 2) + 2, left : int(box.cx + width / 2) + 2]
    if part.size == 0:
        return Patch(np.zeros((side, side), np.uint8), width, height)
    scale[:, 2] -= (left, top)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(part, scale, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return Patch(np.asarray(cv2.cvtColor(cut, cv2.COLOR_BGR2GRAY), np.uint8), width, height)


def matched(before: ByteArray, after: ByteArray) -> Motion:
    """Normalised correlation of the target with its new surroundings, to a fraction of a pixel."""
    low = (before.shape[0] - PATCH) // 2
    target = before[low : low + PATCH, low : low + PATCH]
    response = cv2.matchTemplate(after, target, cv2.TM_CCOEFF_NORMED)
    _, peak, _, (x, y) = cv2.minMaxLoc(response)
    return Motion(x - low + _vertex(response[y], x), y - low + _vertex(response[:, x], y), peak)


def flowed(before: ByteArray, after: ByteArray) -> Motion:
    """The median motion of a grid of points; sure is what comes back to where it was when it is followed back."""
    low = (before.shape[0] - PATCH) // 2
    line = np.linspace(low + 4, low + PATCH - 5, 5, dtype=np.float32)
    points = np.stack(np.meshgrid(line, line), axis=-1).reshape(-1, 1, 2)
    moved, seen, _ = cv2.calcOpticalFlowPyrLK(before, after, points, None, winSize=(11, 11), maxLevel=2)
    back, seen_back, _ = cv2.calcOpticalFlowPyrLK(after, before, moved, None, winSize=(11, 11), maxLevel=2)
    good = (np.abs(back - points).max(axis=(1, 2)) < 1) & (seen[:, 0] > 0) & (seen_back[:, 0] > 0)
    if not good.any():
        return Motion(0.0, 0.0, 0.0)
    dx, dy = np.median((moved - points)[good, 0], axis=0)
    return Motion(float(dx), float(dy), float(good.mean()))


def _vertex(line: NDArray[np.float32], i: int) -> float:
    """Where the parabola through a peak and its neighbours has its vertex, from the peak on."""
    if not 0 < i < len(line) - 1:
        return 0.0
    left, middle, right = (float(value) for value in line[i - 1 : i + 2])
    bend = left - 2 * middle + right
    return 0.0 if bend >= 0 else 0.5 * (left - right) / bend


class CarriedTracker:
    """Our tracker with a carrier between its looks."""

    def __init__(self, tracker: Tracker, policy: Policy | None) -> None:
        self._tracker = tracker
        self._policy = policy
        self._target: Target | None = None
        self._patch: Patch | None = None
        self._carried = 0
        self._calm = False
        self._score = 1.0
        self.looks = 0
        self.carrier_ms: list[float] = []

    def start(self, frame: ByteArray, box: Box) -> None:
        """Makes a new target."""
        self._target = self._tracker.start(frame, box)
        self._patch, self._carried, self._calm = None, 0, False

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """The carrier's box where it may and can, else the network's."""
        assert self._target is not None, "start comes first"
        if self._policy is not None and self._calm and self._carried < self._policy.stride - 1:
            began = time.perf_counter()
            carried = self._carry(self._policy, self._target, frame)
            self.carrier_ms.append((time.perf_counter() - began) * 1e3)
            if carried:
                return Answer(self._target.box, self._score, State.TRACKING)
        return self._look(self._target, frame, time_s)

    def _carry(self, policy: Policy, target: Target, frame: ByteArray) -> bool:
        assert self._patch is not None
        after = patch_of(frame, target.box)
        motion = policy.carrier(self._patch.grey, after.grey)
        far = max(abs(motion.dx), abs(motion.dy)) > policy.motion * PATCH
        if far or motion.certainty < policy.certainty:
            return False
        side = PATCH * CONTEXT
        dx, dy = motion.dx * after.width / side, motion.dy * after.height / side
        target.box, target.place = _moved(target.box, dx, dy), _moved(target.place, dx, dy)
        self._carried += 1
        return True

    def _look(self, target: Target, frame: ByteArray, time_s: float) -> Answer:
        before = target.box
        estimate = self._tracker.follow(target, Picture.of(frame, time_s))
        self.looks += 1
        self._carried, self._score = 0, estimate.score
        if self._policy is not None:
            self._calm = self._is_calm(self._policy, before, estimate)
            if self._calm:
                self._patch = patch_of(frame, estimate.box)
        return Answer(estimate.box, estimate.score, estimate.state)

    def _is_calm(self, policy: Policy, before: Box, estimate: Estimate) -> bool:
        box = estimate.box
        step = max(abs(box.cx - before.cx) / box.w, abs(box.cy - before.cy) / box.h)
        return estimate.state is State.TRACKING and estimate.score >= policy.score and step <= policy.motion


def _moved(box: Box, dx: float, dy: float) -> Box:
    return replace(box, x=box.x + dx, y=box.y + dy)


def policies() -> dict[str, Policy | None]:
    """The network alone, then each carrier with rising trust."""
    found: dict[str, Policy | None] = {"network alone": None}
    for name, carrier, certainty in (("match", matched, 0.8), ("match", matched, 0.9), ("flow", flowed, 0.7)):
        for stride, motion in ((2, 0.15), (4, 0.15), (6, 0.15), (8, 0.15), (4, 0.3), (8, 0.3)):
            title = f"{name} >= {certainty}, 1 look in {stride}, step <= {motion}"
            found[title] = Policy(carrier, stride, 0.3, motion, certainty)
    return found


def main() -> None:
    """Runs all policies over the sequences, in turns, and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=Path, required=True, help="folder of sequences")
    options.add_argument("--model", default=DEFAULT_MODEL, help="name or folder of a package")
    options.add_argument("--other-ms", type=float, default=2.0, help="CPU ms that every frame costs besides")
    chosen = options.parse_args()
    model = load_tracker(chosen.model)
    carried = {title: CarriedTracker(model, policy) for title, policy in policies().items()}
    runs = evaluate({title: lambda each=each: each for title, each in carried.items()}, read_sequences(chosen.folder))
    table = Table("policy", "AUC", "looks", "carrier ms", "CPU ms/frame", "streams")
    alone_ms = None
    for title, done in runs.items():
        frames = sum(len(run.boxes) - 1 for run in done)
        cost_ms = fmean(run.cpu_ms or 0.0 for run in done)
        alone_ms = cost_ms if alone_ms is None else alone_ms
        tracker = carried[title]
        table.add_row(
            title,
            f"{mean_scores(run.scores for run in done).auc:.4f}",
            f"{tracker.looks / frames:.2f}",
            f"{fmean(tracker.carrier_ms):.2f}" if tracker.carrier_ms else "-",
            f"{cost_ms:.2f}",
            f"{(alone_ms + chosen.other_ms) / (cost_ms + chosen.other_ms):.2f}x",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
