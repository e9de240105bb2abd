"""What changes of the tracking loop give that need no training.

    python -m tests.benchmarks.loop_changes FOLDER --model siamfcpp_tiny

prints, as Markdown, the success AUC over the sequences in FOLDER, the mean of passes from first boxes beside the true
one, of the loop as it is and with: boxes as wide as the network draws them instead of as the first one was marked; the
search where the target would be if it went on as in the last frames; another rate of the size or weight of the window;
templates with less contrast around the target, alone or beside a plain one; boxes averaged over the neighbouring
cells that agree; template features blended with those of later frames, whose scores are good. `--absences` prints false
losses, wrong locks and targets that were found again as well, as `lockon evaluate --absences` counts them.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.fading import faded
from models.geometry import Box, Size
from models.package import DEFAULT_MODEL, ModelPackage, find_package, load_tracker
from models.presence import State
from models.runtimes.base import Best, ByteArray, Features, FloatArray, Runtime
from models.spec import ModelSpec, SecondTemplateSpec
from models.tracker import Tracker
from tests.benchmarks.starts import COLUMNS, row, starts
from training.evaluation.absences import kind_of, made_clips
from training.evaluation.ope import Answer, ModelTracker, evaluate
from training.evaluation.presence import presence_figures
from training.evaluation.report import Halves
from training.evaluation.sequences import Clip, read_sequences
from training.evaluation.sequences import Sequence as Labelled
from training.tuning.caching import CachingRuntime, write_map_graphs

VOTING_SHARE, VOTING_IOU = 0.5, 0.7
"""A cell counts that scores at least so large a share of the best one's, and whose box overlaps its box so much."""
BLEND_SCORE = 0.5
"""Frames whose score is lower change no template."""
AGREEING_IOU = 0.5
"""Of two templates' boxes, where they are to be of the same thing."""


class Voting(CachingRuntime):
    """The best box is the mean of those that agree with it, weighed by their squared scores."""

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """See the port for the shapes."""
        found = super().search(features, crops, size, loop)
        best = found.best.copy()
        for chosen, feature, crop in zip(best, features, crops, strict=True):
            score, boxes = self._maps(feature, crop)
            weights = _weights(score, boxes, int(chosen[7]))
            chosen[:4] = (boxes * weights).sum(1) / weights.sum()
        return Best(best, found.peak2)


def _weights(score: FloatArray, boxes: FloatArray, index: int) -> FloatArray:
    low, high = boxes[:2] - boxes[2:] / 2, boxes[:2] + boxes[2:] / 2
    sides = np.minimum(high, high[:, [index]]) - np.maximum(low, low[:, [index]])
    shared = sides.clip(0).prod(0)
    areas = boxes[2:].prod(0)
    agree = (shared / (areas + areas[index] - shared) >= VOTING_IOU) & (score >= VOTING_SHARE * score[index])
    return np.where(agree, score**2, 0).astype(np.float32)


@dataclass(frozen=True)
class Blend:
    """Every so many frames the template becomes (1 - share) of the first one and `share` of the newest; `running`: of
    the running mean of the newest, half and half."""

    every: int
    share: float
    running: bool = False


class Blending(ModelTracker):
    """A tracker whose target's template goes along with what it looks like."""

    def __init__(self, tracker: Tracker, blend: Blend) -> None:
        super().__init__(tracker)
        self._blend = blend

    def start(self, frame: ByteArray, box: Box) -> None:
        """Makes a new target."""
        super().start(frame, box)
        assert self._target is not None
        self._first = self._mean = self._target.features
        self._frames = 0

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """As the tracker alone, and then perhaps another template."""
        answer, target, share = super().follow(frame, time_s), self._target, self._blend.share
        assert target is not None
        self._frames += 1
        if self._frames % self._blend.every or answer.state is not State.TRACKING or answer.score < BLEND_SCORE:
            return answer
        newest = self._tracker.start(frame, answer.box).features
        if self._blend.running:
            self._mean = _mixed(self._mean, newest, share)
            newest, share = self._mean, 0.5
        target.features = _mixed(self._first, newest, share)
        return answer


def _mixed(old: Features, new: Features, share: float) -> Features:
    return tuple((1 - share) * before + share * now for before, now in zip(old, new, strict=True))


class Ahead(ModelTracker):
    """A tracker that looks where its target would be if it went on by `share` of its mean speed of late."""

    def __init__(self, tracker: Tracker, share: float) -> None:
        super().__init__(tracker)
        self._share = share
        self._speed = np.zeros(2)

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """The target is moved before the look, and counts as not moved by that."""
        target = self._target
        assert target is not None
        before, reported = target.place, target.box
        calm = target.presence.state is State.TRACKING
        dx, dy = self._share * self._speed * calm
        target.place = replace(before, x=before.x + dx, y=before.y + dy)
        answer = super().follow(frame, time_s)
        moved = (answer.box.cx - reported.cx, answer.box.cy - reported.cy)
        self._speed = (self._speed + moved) / 2 if answer.state is State.TRACKING else np.zeros(2)
        return answer


class Faded(Tracker):
    """A tracker whose only template shows what lies around the target with less contrast."""

    def __init__(self, spec: ModelSpec, runtime: Runtime, share: float) -> None:
        super().__init__(replace(spec, second_template=SecondTemplateSpec(share, agreement=0.0)), runtime)
        self._share = share

    def remembered(self, crops: Sequence[NDArray[Any]], shape: Size | None) -> tuple[Features, tuple[Features, ...]]:
        """Features of the faded crop alone."""
        assert shape is not None
        (features,) = self.runtime.template(faded(crops[0], shape, self._share)[None])
        return features, ()


def changes(model: str, scratch: Path) -> dict[str, Callable[[], ModelTracker]]:
    """Each change by its name."""
    package, shipped = find_package(model), load_tracker(model)
    spec, alone = shipped.spec, replace(shipped.spec, second_template=None)
    cached = CachingRuntime(shipped.runtime, spec, write_map_graphs(package, scratch))
    graphs = write_map_graphs(replace(package, spec=alone), scratch / "alone")
    one = CachingRuntime(shipped.runtime, alone, graphs)
    others = {"boxes as the network draws them": replace(spec, as_marked=0.0)}
    others |= {f"`size_lr` {rate:g}": replace(spec, loop=replace(spec.loop, size_lr=rate)) for rate in (0.2, 0.4, 0.7)}
    others["`window_influence` 0.35"] = replace(spec, loop=replace(spec.loop, window_influence=0.35))
    tracker = Tracker(spec, cached)
    trackers = {"as it is": tracker} | {name: Tracker(other, cached) for name, other in others.items()}
    trackers |= _templates(package, alone, one, scratch)
    trackers["the plain template, boxes averaged over neighbouring cells"] = Tracker(alone, Voting(one, alone, graphs))
    made: dict[str, Callable[[], ModelTracker]] = {}
    for name, each in trackers.items():
        made[name] = lambda each=each: ModelTracker(each)  # type: ignore[misc]
    for share in (0.5, 1.0):
        made[f"looks {share:.0%} of its speed ahead"] = lambda share=share: Ahead(tracker, share)  # type: ignore[misc]
    for name, blend in {
        "template: 30 % of the newest, every 5 frames": Blend(5, 0.3),
        "the same, 50 %": Blend(5, 0.5),
        "template: half a running mean of every 5th": Blend(5, 0.3, running=True),
    }.items():
        made[name] = lambda blend=blend: Blending(tracker, blend)  # type: ignore[misc]
    return made


def _templates(package: ModelPackage, alone: ModelSpec, one: CachingRuntime, scratch: Path) -> dict[str, Tracker]:
    """Trackers with one template, plain or faded, and with two."""
    made = {"the plain template alone": Tracker(alone, one)}
    for share in (0.4, 0.5, 0.6):
        made[f"a template with {share:.0%} of its background's contrast alone"] = Faded(alone, one, share)
    for share in (0.3, 0.4, 0.5):
        two = replace(alone, second_template=SecondTemplateSpec(share, AGREEING_IOU))
        graphs = write_map_graphs(replace(package, spec=two), scratch / "two")
        made[f"two templates, the second with {share:.0%} of it"] = Tracker(two, CachingRuntime(one, two, graphs))
    return made


def absences(make: Callable[[], ModelTracker], sequences: Sequence[Labelled], halves: Halves) -> str:
    """False losses, wrong locks and targets found again by the kind of the absence, in a pass from the true boxes."""
    parts = ([each for each in sequences if each.name in half] for half in (halves.tuning, halves.held_out))
    clips: list[Clip] = [*sequences, *(clip for part in parts for clip in made_clips(part))]
    (runs,) = evaluate({"all": make}, clips).values()
    records = defaultdict(list)
    for run in runs:
        if run.presence is not None:
            records[kind_of(run.sequence) or "real"].append(run.presence)
    figures = {kind: presence_figures(each) for kind, each in records.items()}
    return ", ".join(
        f"{kind}: {one['false_losses']} false, {one['wrong_locks']} wrong, {one['found']} of {one['returns']} found"
        for kind, one in figures.items()
    )


def main() -> None:
    """Prints a row for each change as soon as it is known."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--model", default=DEFAULT_MODEL)
    options.add_argument("--starts", type=int, default=4)
    options.add_argument(
        "--only", nargs="+", metavar="PART", default=[""], help="changes with such a part in their name"
    )
    options.add_argument("--absences", action="store_true")
    chosen = options.parse_args()
    sequences = read_sequences(chosen.folder)
    halves = Halves.of(sequence.name for sequence in sequences)
    print(f"| {chosen.model} | {COLUMNS} |\n{'| --- ' * 5}|", flush=True)  # noqa: T201
    with tempfile.TemporaryDirectory() as scratch:
        for name, make in changes(chosen.model, Path(scratch)).items():
            if not any(part in name for part in chosen.only):
                continue
            runs = evaluate(starts(make, name, chosen.starts), sequences)
            print(row(name, list(runs.values()), halves), flush=True)  # noqa: T201
            if chosen.absences:
                print(absences(make, sequences, halves), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
