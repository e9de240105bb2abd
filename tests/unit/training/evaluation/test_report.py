"""JSON, box files and halves of an evaluation."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from models.presence import State
from training.evaluation.metrics import Scores
from training.evaluation.ope import Run
from training.evaluation.presence import recorded
from training.evaluation.report import (
    Evaluation,
    Halves,
    half_table,
    mean_table,
    presence_tables,
    sequence_table,
    to_json,
    write_all_boxes,
)
from training.evaluation.sequences import read_boxes


def run(sequence: str, auc: float, wall_ms: float | None = 2.0) -> Run:
    scores = Scores(auc, auc, auc, auc, auc, auc, frames=10)
    return Run(sequence, np.full((11, 4), auc), np.ones(11), scores, wall_ms, wall_ms)


@pytest.fixture
def evaluation() -> Evaluation:
    runs = {
        "ours": [run("a", 0.2), run("b", 0.4), run("c", 0.9)],
        "kcf": [run("a", 0.1), run("b", 0.1), run("c", 0.1)],
    }
    return Evaluation("ours", runs, Halves.of(["c", "a", "b"]))


def test_halves_are_the_even_and_odd_positions_of_the_sorted_names() -> None:
    halves = Halves.of(["d", "b", "a", "c", "e"])
    assert halves.tuning == {"a", "c", "e"}
    assert halves.held_out == {"b", "d"}


def test_json_holds_every_metric_per_sequence_and_the_means(evaluation: Evaluation, tmp_path: Path) -> None:
    report = json.loads(json.dumps(to_json(evaluation, tmp_path), allow_nan=False))
    assert report["mean"]["auc"] == pytest.approx(0.5)
    assert report["mean"]["sequences"] == 3
    assert report["tuning_half"]["auc"] == pytest.approx(0.55)
    assert report["held_out_half"]["auc"] == pytest.approx(0.4)
    assert report["sequences"]["c"]["sr75"] == 0.9
    assert report["sequences"]["c"]["wall_ms"] == 2
    assert report["beside"]["kcf"]["mean"]["auc"] == pytest.approx(0.1)
    assert set(report["beside"]["kcf"]) == {"mean", "tuning_half", "held_out_half", "presence", "sequences"}
    assert report["definitions"]["normalized_precision"].startswith("TrackingNet")


def test_a_half_without_sequences_and_boxes_without_times_are_null(tmp_path: Path) -> None:
    alone = Evaluation("ours", {"ours": [run("a", 0.5, wall_ms=None)]}, Halves.of(["a"]))
    report = to_json(alone, tmp_path)
    assert report["held_out_half"] is None
    assert report["mean"]["wall_ms"] is None


def test_boxes_of_the_model_lie_in_the_folder_and_those_of_others_below(evaluation: Evaluation, tmp_path: Path) -> None:
    write_all_boxes(evaluation, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "b.txt", "c.txt", "kcf"]
    np.testing.assert_allclose(read_boxes(tmp_path / "kcf" / "b.txt"), 0.1)


def absent_for_a_while(sequence: str, states: str) -> Run:
    """Eight frames, two a second; the target is away from the third to the sixth."""
    truth = np.tile([10.0, 10.0, 20.0, 20.0], (8, 1))
    boxes = truth.copy()
    truth[2:6] = np.nan
    letters = {"i": State.INITIALIZING, "t": State.TRACKING, "l": State.LOST, "r": State.REACQUIRED}
    record = recorded([letters[letter] for letter in states], boxes, truth, 2.0)
    return replace(run(sequence, 0.5), presence=record)


@pytest.fixture
def presence() -> Evaluation:
    real = [run("a", 0.5), absent_for_a_while("b", "ittlllrt")]
    return Evaluation("ours", {"ours": real}, Halves.of("ab"), {"ours": [absent_for_a_while("a+cut", "itttttrt")]})


def test_presence_is_told_by_kind_of_absence_and_half(presence: Evaluation, tmp_path: Path) -> None:
    told = json.loads(json.dumps(to_json(presence, tmp_path), allow_nan=False))["presence"]
    assert told["real"]["tuning"] is None
    assert told["real"]["held-out"]["lost_recall"] == 0.75
    assert told["real"]["held-out"]["time_to_lost_median"] == 0.5
    assert told["cut"]["tuning"]["absences"] == 1
    assert told["cut"]["tuning"]["time_to_lost_median"] is None, "never"
    assert told["cut"]["held-out"] is None


def test_tables_show_presence_where_there_is_an_absence_and_fit_into_80_columns(
    presence: Evaluation, evaluation: Evaluation
) -> None:
    text = io.StringIO()
    for table in presence_tables(presence):
        Console(file=text, width=80).print(table)
    shown = text.getvalue()
    for expected in ("real", "cut", "held-out", "precision", "median s", "0.75", "0.50", "never"):
        assert expected in shown
    assert "…" not in shown
    assert presence_tables(evaluation) == []


def test_tables_show_each_tracker(evaluation: Evaluation) -> None:
    text = io.StringIO()
    console = Console(file=text, width=100)
    for table in (sequence_table(evaluation), mean_table(evaluation), half_table(evaluation)):
        console.print(table)
    shown = text.getvalue()
    for expected in ("0.900", "0.500", "0.550", "0.400", "tuning half", "held-out half", "kcf", "NormP", "SR.75"):
        assert expected in shown
