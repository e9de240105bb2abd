"""What an evaluation says: JSON, box files and tables."""

from __future__ import annotations

import math
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.table import Table

from training.evaluation.absences import kind_of, source_of
from training.evaluation.metrics import METRICS, Scores, mean_scores
from training.evaluation.ope import Run
from training.evaluation.presence import FOUND_IOU, SHORTEST_ABSENCE_S, WRONG_LOCK_S, presence_figures
from training.evaluation.sequences import write_boxes

HEADINGS = {
    "auc": "AUC",
    "precision20": "P20",
    "normalized_precision": "NormP",
    "ao": "AO",
    "sr50": "SR.50",
    "sr75": "SR.75",
}
DEFINITIONS = {
    "rule": "one pass from the first true box, no restart; the first frame and frames without a true box not scored; "
    "means over sequences, every sequence counting the same",
    "auc": "success: mean over 21 thresholds 0, 0.05 ... 1 of the share of frames with IoU > threshold",
    "precision20": "share of frames with a centre error of at most 20 px",
    "normalized_precision": "TrackingNet: centre error divided by the true box's w and h; mean over 51 thresholds "
    "0, 0.01 ... 0.5 of the share of frames with an error of at most the threshold",
    "ao": "mean IoU",
    "sr50": "share of frames with IoU > 0.5",
    "sr75": "share of frames with IoU > 0.75",
    "wall_ms": "wall time of a frame's tracker call on one thread, without reading and decoding",
    "cpu_ms": "processor time of the same call",
    "presence": "what the states say beside the truth, in seconds of the sequences' own time; null where there is "
    "nothing to divide by, or where more of the absences than the figure's share were never noticed or never ended",
    "lost_precision": "share of the frames said to be lost in which the target is absent",
    "lost_recall": "share of the frames without the target that are said to be lost",
    "time_to_lost": f"from the target's disappearance to the first lost, for absences of {SHORTEST_ABSENCE_S:g} s and "
    "more that begin while it is not lost",
    "false_losses": "lost is said of a target that is there and under the box",
    "wrong_locks": f"tracking is said for more than {WRONG_LOCK_S:g} s while the box misses the target or it is absent",
    "time_to_found": f"from the target's return to the first result that is not lost with IoU >= {FOUND_IOU:g}",
    "reacquired_precision": f"share of the reacquired results with IoU >= {FOUND_IOU:g}",
    "f_score": "harmonic mean of the mean IoU over results that are not lost and over frames with the target",
}
LOST_HEADINGS = {
    "lost_precision": "precision",
    "lost_recall": "recall",
    "time_to_lost_median": "median s",
    "time_to_lost_p95": "p95 s",
    "false_losses": "false",
    "wrong_locks": "wrong",
}
FOUND_HEADINGS = {
    "returns": "returns",
    "found": "found",
    "time_to_found_median": "median s",
    "time_to_found_p90": "p90 s",
    "reacquired_precision": "precision",
    "f_score": "F",
}
"""The figures of the two tables of presence; JSON has all. Narrow enough for a terminal of 80 columns."""


@dataclass(frozen=True, slots=True)
class Halves:
    """Two fixed halves of a folder's sequences: constants are tuned on one only, the other shows what that is worth."""

    tuning: frozenset[str]
    held_out: frozenset[str]

    @classmethod
    def of(cls, names: Iterable[str]) -> Halves:
        """Even positions (0, 2 ...) of all the folder's names in sorted order, and odd ones."""
        ordered = sorted(names)
        return cls(frozenset(ordered[0::2]), frozenset(ordered[1::2]))


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All runs of an evaluation: tracker's name -> one Run per sequence; `model` is the name of the judged one. `made`
    are its runs over the sequences with made absences, which count for presence alone."""

    model: str
    runs: Mapping[str, Sequence[Run]]
    halves: Halves
    made: Mapping[str, Sequence[Run]] = field(default_factory=dict)

    @property
    def beside(self) -> list[str]:
        """The other trackers' names."""
        return [name for name in self.runs if name != self.model]


def to_json(evaluation: Evaluation, sequences: Path) -> dict[str, Any]:
    """Every metric per sequence, the means and the halves; the judged model at the top, others under `beside`."""
    return {
        "model": evaluation.model,
        "folder": sequences.resolve().name,
        **_tracker_json(evaluation, evaluation.model),
        "beside": {name: _tracker_json(evaluation, name) for name in evaluation.beside},
        "definitions": DEFINITIONS,
        "environment": {"machine": platform.machine(), "python": platform.python_version(), "opencv": cv2.__version__},
    }


def write_all_boxes(evaluation: Evaluation, folder: Path) -> None:
    """`<sequence>.txt` of the judged model directly in `folder`, of each other tracker in `folder/<tracker>`."""
    for name, runs in evaluation.runs.items():
        target = folder if name == evaluation.model else folder / name
        for run in runs:
            write_boxes(target / f"{run.sequence}.txt", run.boxes)


def sequence_table(evaluation: Evaluation) -> Table:
    """Success AUC of each tracker for each sequence."""
    table = _table("success AUC", "sequence", ["half", "frames", *evaluation.runs])
    for row in zip(*evaluation.runs.values(), strict=True):
        name = row[0].sequence
        half = "tuning" if name in evaluation.halves.tuning else "held-out"
        table.add_row(name, half, str(row[0].scores.frames), *(f"{run.scores.auc:.3f}" for run in row))
    return table


def mean_table(evaluation: Evaluation) -> Table:
    """Means of all metrics, and the speed, of each tracker."""
    table = _table("means over sequences", "tracker", [*HEADINGS.values(), "wall ms", "CPU ms"])
    for name, runs in evaluation.runs.items():
        mean = mean_scores(run.scores for run in runs)
        times = (_mean_time(runs, "wall_ms"), _mean_time(runs, "cpu_ms"))
        metrics = [f"{getattr(mean, metric):.3f}" for metric in METRICS]
        table.add_row(name, *metrics, *("-" if time is None else f"{time:.2f}" for time in times))
    return table


def half_table(evaluation: Evaluation) -> Table:
    """Mean success AUC over the two halves."""
    table = _table("mean success AUC by half", "tracker", ["all", "tuning half", "held-out half"])
    for name, runs in evaluation.runs.items():
        means = (runs, _of(runs, evaluation.halves.tuning), _of(runs, evaluation.halves.held_out))
        table.add_row(name, *(f"{mean_scores(run.scores for run in part).auc:.3f}" if part else "-" for part in means))
    return table


def presence_tables(evaluation: Evaluation) -> list[Table]:
    """What the trackers say of their targets' presence, by half and by kind of absence; none without any absence."""
    tables = []
    for name in evaluation.runs:
        rows = [
            (kind, half, figures)
            for kind, halves in _presence(evaluation, name).items()
            for half, figures in halves.items()
            if figures is not None and figures["absent_frames"]
        ]
        for what, headings in (("lost, and wrong locks", LOST_HEADINGS), ("found again", FOUND_HEADINGS)):
            table = _table(f"{name}: {what}", "absences", ["half", *headings.values()])
            for kind, half, figures in rows:
                table.add_row(kind, half, *(_shown(figures[key]) for key in headings))
            if rows:
                tables.append(table)
    return tables


def _presence(evaluation: Evaluation, name: str) -> dict[str, dict[str, dict[str, Any] | None]]:
    """Kind of absence (`real`: the sequences as they are) -> half -> figures."""
    kinds: dict[str, list[Run]] = {"real": list(evaluation.runs[name])}
    for run in evaluation.made.get(name, ()):
        kinds.setdefault(kind_of(run.sequence), []).append(run)
    halves = {"tuning": evaluation.halves.tuning, "held-out": evaluation.halves.held_out}
    return {
        kind: {half: _presence_of(_of(runs, names)) for half, names in halves.items()} for kind, runs in kinds.items()
    }


def _presence_of(runs: Sequence[Run]) -> dict[str, Any] | None:
    records = [run.presence for run in runs if run.presence is not None]
    return presence_figures(records) if records else None


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else "never" if value == math.inf else f"{value:.2f}"


def _finite(value: Any) -> Any:
    """Numbers as JSON has them: rounded, and null for what never happened."""
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return {key: _finite(item) for key, item in value.items()} if isinstance(value, dict) else value


def _tracker_json(evaluation: Evaluation, name: str) -> dict[str, Any]:
    runs = evaluation.runs[name]
    return {
        "mean": _mean_json(runs),
        "tuning_half": _mean_json(_of(runs, evaluation.halves.tuning)),
        "held_out_half": _mean_json(_of(runs, evaluation.halves.held_out)),
        "presence": _finite(_presence(evaluation, name)),
        "sequences": {run.sequence: _run_json(run.scores, run.wall_ms, run.cpu_ms) for run in runs},
    }


def _mean_json(runs: Sequence[Run]) -> dict[str, Any] | None:
    if not runs:
        return None
    mean = _run_json(mean_scores(run.scores for run in runs), _mean_time(runs, "wall_ms"), _mean_time(runs, "cpu_ms"))
    return {"sequences": len(runs), **mean}


def _run_json(scores: Scores, wall_ms: float | None, cpu_ms: float | None) -> dict[str, Any]:
    values = asdict(scores) | {"wall_ms": wall_ms, "cpu_ms": cpu_ms}
    return {key: round(value, 6) if isinstance(value, float) else value for key, value in values.items()}


def _of(runs: Sequence[Run], names: frozenset[str]) -> list[Run]:
    return [run for run in runs if source_of(run.sequence) in names]


def _mean_time(runs: Sequence[Run], field: str) -> float | None:
    times = [getattr(run, field) for run in runs]
    return None if None in times else float(np.mean(times))


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table
