"""What a tracker says of its target's presence, beside the truth: is "lost" true, how soon is it said, how soon is the
target back? Counts and times that can be joined over sequences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.geometry import FloatArray, intersection_over_union
from models.presence import State

SHORTEST_ABSENCE_S = 1.0
"""Shorter absences count frame by frame only: nobody has to have noticed them before they end."""
WRONG_LOCK_S = 1.0
"""How long a tracker must claim to track something else for it to count."""
FOUND_IOU = 0.3
"""IoU from which a target that came back counts as found."""

_CLAIMS = (State.TRACKING, State.REACQUIRED)


@dataclass(frozen=True, slots=True)
class Absence:
    """One absence of at least SHORTEST_ABSENCE_S. Times are infinite for what did not happen before its end, or, after
    the return, before the next absence or the end of the sequence."""

    lost_after_s: float | None
    """from the first frame without the target to the first result that says lost; None if it was lost before"""
    found_after_s: float | None
    """from the target's return to the first result that is not lost and has its place; None if it never returned"""


@dataclass(frozen=True, slots=True)
class PresenceRecord:
    """What was said and what was true in one sequence."""

    frames: int
    """with a result: all but the first"""
    fps: float
    absent: int
    lost: int
    """frames said to be lost"""
    rightly_lost: int
    """of these, frames without the target"""
    false_losses: int
    """how often `lost` was said anew of a target that was there and under the box of the frame before"""
    wrong_locks: int
    """how often the tracker claimed for more than WRONG_LOCK_S to track what was not the target"""
    reacquired: int
    """how often `reacquired` was said"""
    rightly_reacquired: int
    overlap: float
    """sum of the IoU over the frames that were not said to be lost"""
    absences: tuple[Absence, ...]


def recorded(states: Sequence[State], boxes: FloatArray, truth: FloatArray, fps: float) -> PresenceRecord:
    """The record of one sequence: (N,) states, (N, 4) boxes and true boxes, NaN where the target is absent."""
    absent = np.asarray(np.isnan(truth).any(axis=1), np.bool_)
    overlap = np.where(absent, 0.0, intersection_over_union(boxes, np.nan_to_num(truth)))
    lost = np.array([state is State.LOST for state in states])
    claimed = np.array([state in _CLAIMS for state in states])
    back = np.array([state is State.REACQUIRED for state in states])
    newly_lost = lost[1:] & ~lost[:-1]
    wrong = [end - start for start, end in _runs(claimed & (overlap == 0)) if (end - start) / fps > WRONG_LOCK_S]
    return PresenceRecord(
        frames=len(states) - 1,
        fps=fps,
        absent=int(absent.sum()),
        lost=int(lost.sum()),
        rightly_lost=int((lost & absent).sum()),
        false_losses=int((newly_lost & ~absent[1:] & (overlap[:-1] > 0)).sum()),
        wrong_locks=len(wrong),
        reacquired=int(back.sum()),
        rightly_reacquired=int((back & (overlap >= FOUND_IOU)).sum()),
        overlap=float(overlap[1:][~lost[1:]].sum()),
        absences=tuple(_absences(absent, lost, overlap, fps)),
    )


def presence_figures(records: Iterable[PresenceRecord]) -> dict[str, Any]:
    """The figures of several sequences together; times in seconds, rates per hour. None where there is nothing to
    divide by; infinite where more than that share never happened."""
    taken = list(records)

    def total(count: Callable[[PresenceRecord], float]) -> float:
        return sum(map(count, taken))

    absent, lost, rightly = total(lambda r: r.absent), total(lambda r: r.lost), total(lambda r: r.rightly_lost)
    frames, overlap = total(lambda r: r.frames), total(lambda r: r.overlap)
    hours, present_hours = (total(count) / 3600 for count in (_seconds, _seconds_present))
    absences = [absence for record in taken for absence in record.absences]
    to_lost = [absence.lost_after_s for absence in absences if absence.lost_after_s is not None]
    to_found = [absence.found_after_s for absence in absences if absence.found_after_s is not None]
    trust, reach = _share(overlap, frames - lost), _share(overlap, frames - absent)
    return {
        "sequences": len(taken),
        "frames": int(frames),
        "absent_frames": int(absent),
        "lost_frames": int(lost),
        "lost_precision": _share(rightly, lost),
        "lost_recall": _share(rightly, absent),
        "absences": len(absences),
        "time_to_lost_median": _quantile(to_lost, 0.5),
        "time_to_lost_p95": _quantile(to_lost, 0.95),
        "false_losses": int(total(lambda r: r.false_losses)),
        "false_losses_per_hour": _share(total(lambda r: r.false_losses), present_hours),
        "wrong_locks": int(total(lambda r: r.wrong_locks)),
        "wrong_locks_per_hour": _share(total(lambda r: r.wrong_locks), hours),
        "returns": len(to_found),
        "found": sum(map(math.isfinite, to_found)),
        "time_to_found_median": _quantile(to_found, 0.5),
        "time_to_found_p90": _quantile(to_found, 0.9),
        "reacquired": int(total(lambda r: r.reacquired)),
        "reacquired_precision": _share(total(lambda r: r.rightly_reacquired), total(lambda r: r.reacquired)),
        "f_score": None if not trust or not reach else 2 * trust * reach / (trust + reach),
    }


def _absences(absent: NDArray[np.bool_], lost: NDArray[np.bool_], overlap: FloatArray, fps: float) -> Iterator[Absence]:
    runs = list(_runs(absent))
    for index, (start, end) in enumerate(runs):
        until = runs[index + 1][0] if index + 1 < len(runs) else len(absent)
        if (end - start) / fps < SHORTEST_ABSENCE_S:
            continue
        noticed = None if lost[start - 1] else _first(lost[start:end]) / fps
        found = ~lost[end:until] & (overlap[end:until] >= FOUND_IOU)
        yield Absence(noticed, _first(found) / fps if end < len(absent) else None)


def _runs(marked: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and end (exclusive) of each run of True."""
    for value, group in groupby(range(len(marked)), key=lambda index: bool(marked[index])):
        if value:
            indices = list(group)
            yield indices[0], indices[-1] + 1


def _first(marked: NDArray[np.bool_]) -> float:
    """Index of the first True, infinite if there is none."""
    return float(marked.argmax()) if marked.any() else math.inf


def _seconds(record: PresenceRecord) -> float:
    return record.frames / record.fps


def _seconds_present(record: PresenceRecord) -> float:
    return (record.frames - record.absent) / record.fps


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _quantile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(math.ceil(share * len(values)) - 1, 0)] if values else None
