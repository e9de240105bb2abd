"""What an evaluation says: JSON, box files and tables."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.table import Table

from training.evaluation.metrics import METRICS, Scores, mean_scores
from training.evaluation.ope import Run
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
}


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
    """All runs of an evaluation: tracker's name -> one Run per sequence; `model` is the name of the judged one."""

    model: str
    runs: Mapping[str, Sequence[Run]]
    halves: Halves

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


def _tracker_json(evaluation: Evaluation, name: str) -> dict[str, Any]:
    runs = evaluation.runs[name]
    return {
        "mean": _mean_json(runs),
        "tuning_half": _mean_json(_of(runs, evaluation.halves.tuning)),
        "held_out_half": _mean_json(_of(runs, evaluation.halves.held_out)),
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
    return [run for run in runs if run.sequence in names]


def _mean_time(runs: Sequence[Run], field: str) -> float | None:
    times = [getattr(run, field) for run in runs]
    return None if None in times else float(np.mean(times))


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table
