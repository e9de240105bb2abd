"""How each protocol drives a tracker through a sequence, and what that leaves."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.geometry import Box
from models.target import TargetInvalid
from training.benchmarks.regions import Region, is_code, pysot_overlap, start_box, truth_polygon
from training.benchmarks.sequences import BenchmarkSequence, Protocol
from training.benchmarks.supervised import SKIPPED
from training.benchmarks.trajectories import Code, code
from training.datasets.tracks import DataInvalid
from training.evaluation.ope import SequenceTracker


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a tracker made of a sequence of N frames."""

    trajectory: list[Region]
    """(4,) boxes and codes"""
    confidences: NDArray[np.float64]
    """(N,) the tracker's own score; NaN where it was started"""
    times_s: NDArray[np.float64]
    """(N,) of the tracker's calls, without reading and decoding; 0 in skipped frames"""


def run_protocol(protocol: Protocol, tracker: SequenceTracker, sequence: BenchmarkSequence) -> Outcome:
    """Runs the sequence by the protocol."""
    if protocol is Protocol.SUPERVISED:
        return _supervised(tracker, sequence)
    outcome = _one_pass(tracker, sequence)
    if protocol is Protocol.LONG_TERM:
        outcome.trajectory[0] = code(Code.INITIALIZED)
    return outcome


def _one_pass(tracker: SequenceTracker, sequence: BenchmarkSequence) -> Outcome:
    """From the first true box to the end; that box is the first line of the result."""
    outcome = _empty(sequence)
    for number in range(len(sequence)):
        if number == 0:
            _start(tracker, sequence, 0, outcome)
            outcome.trajectory[0] = start_box(sequence.regions[0])
        else:
            outcome.trajectory[number] = _follow(tracker, sequence, number, 0, outcome)
    return outcome


def _supervised(tracker: SequenceTracker, sequence: BenchmarkSequence) -> Outcome:
    """Restarted SKIPPED frames after each frame in which the box misses the target, as pysot's test script does it."""
    outcome, start = _empty(sequence), 0
    for number in range(len(sequence)):
        if number < start:
            continue
        if number == start:
            outcome.trajectory[number] = code(Code.INITIALIZED)
            _start(tracker, sequence, number, outcome)
            continue
        box = _follow(tracker, sequence, number, start, outcome)
        if pysot_overlap(box, truth_polygon(sequence.regions[number]), sequence.size) > 0:
            outcome.trajectory[number] = box
        else:
            outcome.trajectory[number] = code(Code.FAILED)
            start = number + SKIPPED
    return outcome


def _empty(sequence: BenchmarkSequence) -> Outcome:
    count = len(sequence)
    return Outcome([code(Code.UNKNOWN)] * count, np.full(count, np.nan), np.zeros(count))


def _start(tracker: SequenceTracker, sequence: BenchmarkSequence, number: int, outcome: Outcome) -> None:
    region = sequence.regions[number]
    if is_code(region):
        raise DataInvalid(f"{sequence.name}, frame {number + 1}: has no true box to start a tracker with")
    frame = sequence.frame(number)
    before = time.perf_counter()
    try:
        tracker.start(frame, Box(*map(float, start_box(region))))
    except TargetInvalid as error:
        raise DataInvalid(f"{sequence.name}, frame {number + 1}: no tracker can start with its box: {error}") from error
    outcome.times_s[number] = time.perf_counter() - before


def _follow(tracker: SequenceTracker, sequence: BenchmarkSequence, number: int, start: int, outcome: Outcome) -> Region:
    frame = sequence.frame(number)
    before = time.perf_counter()
    answer = tracker.follow(frame, (number - start) / sequence.fps)
    outcome.times_s[number] = time.perf_counter() - before
    outcome.confidences[number] = answer.score
    return np.array(answer.box.xywh(), np.float64)
