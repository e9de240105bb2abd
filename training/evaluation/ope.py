"""One-pass evaluation: start on the first true box, follow to the end, never restart; one loop for every tracker."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.frames import Picture
from models.geometry import Box
from models.presence import State
from models.runtimes.base import ByteArray
from models.target import Target, TargetInvalid
from models.tracker import Tracker
from training.evaluation.metrics import Scores, score
from training.evaluation.presence import PresenceRecord, recorded
from training.evaluation.sequences import Clip, Sequence, SequenceInvalid, read_boxes


class Answer(NamedTuple):
    """What a tracker says of one frame. The score's scale is the tracker's own."""

    box: Box
    score: float
    state: State


class SequenceTracker(Protocol):
    """A tracker that follows one target through one sequence. Frames are (H, W, 3) uint8 BGR."""

    def start(self, frame: ByteArray, box: Box) -> None:
        """Takes the target at `box` in the first frame."""

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """What the next frame shows, which was taken `time_s` seconds after the first one."""


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
    """None where boxes were read and nothing was run; so are `cpu_ms` and `presence`."""
    cpu_ms: float | None
    presence: PresenceRecord | None = None


class ModelTracker:
    """Our tracker as a `SequenceTracker`."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._target: Target | None = None

    def start(self, frame: ByteArray, box: Box) -> None:
        """Makes a new target."""
        self._target = self._tracker.start(frame, box)

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """The estimate's box, score and state."""
        assert self._target is not None, "start comes first"
        estimate = self._tracker.follow(self._target, Picture.of(frame, time_s))
        return Answer(estimate.box, estimate.score, estimate.state)


def evaluate(
    trackers: Mapping[str, TrackerFactory],
    sequences: Iterable[Clip],
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


def evaluate_model(tracker: Tracker, sequences: Iterable[Clip]) -> list[Run]:
    """Runs our tracker alone: one Run per sequence."""
    return evaluate({"model": lambda: ModelTracker(tracker)}, sequences)["model"]


def run_sequence(tracker: SequenceTracker, clip: Clip) -> Run:
    """Follows the first true box through the frames and scores the boxes. Raises SequenceInvalid for a first box that
    the tracker does not take."""
    frames = clip.frames()
    answers = [Answer(clip.first_box, 1.0, State.INITIALIZING)]
    try:
        tracker.start(next(frames), clip.first_box)
    except TargetInvalid as error:
        raise SequenceInvalid(f"{clip.name}, frame 1: no tracker can start with its box: {error}") from error
    wall = cpu = 0.0
    for index, frame in enumerate(frames, 1):
        wall_before, cpu_before = time.perf_counter(), time.process_time()
        answers.append(tracker.follow(frame, index / clip.fps))
        cpu += time.process_time() - cpu_before
        wall += time.perf_counter() - wall_before
    predicted = np.array([answer.box.xywh() for answer in answers], np.float64)
    to_ms = 1000 / (len(answers) - 1)
    return Run(
        clip.name,
        predicted,
        np.array([answer.score for answer in answers]),
        score(predicted, clip.truth),
        wall * to_ms,
        cpu * to_ms,
        recorded([answer.state for answer in answers], predicted, clip.truth, clip.fps),
    )


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
