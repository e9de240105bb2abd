"""One-pass evaluation: start on the first true box, follow to the end, never restart; one loop for every tracker."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.geometry import Box
from models.runtimes.base import ByteArray
from models.target import Target
from models.tracker import Tracker
from training.evaluation.metrics import Scores, score
from training.evaluation.sequences import Sequence, SequenceInvalid, read_boxes


class SequenceTracker(Protocol):
    """A tracker that follows one target through one sequence. Frames are (H, W, 3) uint8 BGR."""

    def start(self, frame: ByteArray, box: Box) -> None:
        """Takes the target at `box` in the first frame."""

    def follow(self, frame: ByteArray) -> tuple[Box, float]:
        """The target's box in the next frame, and a score (its scale is the tracker's own)."""


TrackerFactory = Callable[[], SequenceTracker]
"""Makes a fresh tracker for each sequence."""


@dataclass(frozen=True, slots=True)
class Run:
    """What one tracker made of one sequence. Times are means per followed frame, without reading and decoding."""

    sequence: str
    boxes: NDArray[np.float64]
    """(N, 4) x, y, w, h; the first row is the given box."""
    target_scores: NDArray[np.float64]
    """(N,) the tracker's own score of each frame; 1 for the first."""
    scores: Scores
    wall_ms: float | None
    """None where boxes were read and nothing was run; so is `cpu_ms`."""
    cpu_ms: float | None


class ModelTracker:
    """Our tracker as a `SequenceTracker`."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._target: Target | None = None

    def start(self, frame: ByteArray, box: Box) -> None:
        """Makes a new target."""
        self._target = self._tracker.start(frame, box)

    def follow(self, frame: ByteArray) -> tuple[Box, float]:
        """The estimate's box and score."""
        assert self._target is not None, "start comes first"
        estimate = self._tracker.follow(self._target, frame)
        return estimate.box, estimate.score


def evaluate(
    trackers: Mapping[str, TrackerFactory],
    sequences: Iterable[Sequence],
    progress: Callable[[str, str, int], None] = lambda sequence, tracker, done: None,
) -> dict[str, list[Run]]:
    """Runs every tracker over every sequence on one thread: name -> one Run per sequence, in the order given.

    The trackers take turns sequence by sequence, so that a machine that gets busy slows all of them alike. `progress`
    is called with the sequence's name, the tracker's and the number of runs done, before each run.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    runs: dict[str, list[Run]] = {name: [] for name in trackers}
    try:
        for done, (sequence, (name, make)) in enumerate(itertools.product(sequences, trackers.items())):
            progress(sequence.name, name, done)
            runs[name].append(run_sequence(make(), sequence))
    finally:
        cv2.setNumThreads(threads)
    return runs


def evaluate_model(tracker: Tracker, sequences: Iterable[Sequence]) -> list[Run]:
    """Runs our tracker alone: one Run per sequence."""
    return evaluate({"model": lambda: ModelTracker(tracker)}, sequences)["model"]


def run_sequence(tracker: SequenceTracker, sequence: Sequence) -> Run:
    """Follows the first true box through the sequence and scores the boxes."""
    frames = sequence.frames()
    boxes, target_scores = [sequence.first_box.xywh()], [1.0]
    tracker.start(next(frames), sequence.first_box)
    wall = cpu = 0.0
    for frame in frames:
        wall_before, cpu_before = time.perf_counter(), time.process_time()
        box, target_score = tracker.follow(frame)
        cpu += time.process_time() - cpu_before
        wall += time.perf_counter() - wall_before
        boxes.append(box.xywh())
        target_scores.append(target_score)
    predicted = np.array(boxes, np.float64)
    to_ms = 1000 / (len(boxes) - 1)
    scores = score(predicted, sequence.truth)
    return Run(sequence.name, predicted, np.array(target_scores), scores, wall * to_ms, cpu * to_ms)


def score_boxes(folder: Path, sequences: Iterable[Sequence]) -> list[Run]:
    """Scores boxes that were written before, `<sequence>.txt` in `folder`, without running anything."""
    return [_scored_file(folder / f"{sequence.name}.txt", sequence) for sequence in sequences]


def _scored_file(path: Path, sequence: Sequence) -> Run:
    boxes = read_boxes(path)
    try:
        scores = score(boxes, sequence.truth)
    except ValueError as error:
        raise SequenceInvalid(f"{path}: {error}") from error
    return Run(sequence.name, boxes, np.full(len(boxes), np.nan), scores, None, None)
