"""The table of scores: what it keeps, what it shows, and that FEAR-XS in it is the published tracker."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from models.package import DUMMY, load_tracker
from tests.benchmarks.fear import Pixels, enlarged, fear_factory, within
from tests.benchmarks.scores import Entrant, Result, mean_table, run_all, sequence_table
from tests.drawing import Drawing
from training.evaluation.metrics import Scores
from training.evaluation.ope import ModelTracker, TrackerFactory, evaluate_model
from training.evaluation.sequences import read_boxes, read_sequence, read_sequences

FRAME = np.zeros((100, 200, 3), np.uint8)


class Opened:
    """Opens the dummy, and counts."""

    times = 0

    def __call__(self) -> TrackerFactory:
        self.times += 1
        return lambda: ModelTracker(load_tracker(DUMMY))


def drawn(folder: Path) -> Path:
    for seed, name in enumerate(("ant", "bee", "cat")):
        Drawing(seed, width=160, height=120, side=24).write_sequence(folder / name, 5)
    return folder


def test_what_was_run_is_kept_and_only_what_is_new_is_run(tmp_path: Path) -> None:
    sequences = read_sequences(drawn(tmp_path / "sequences"))
    first, again, other = Opened(), Opened(), Opened()
    results = run_all([Entrant("one", "one-1", first)], sequences[:2], tmp_path / "out")
    assert first.times == 1
    assert run_all([Entrant("one", "one-1", again)], sequences[:2], tmp_path / "out") == results
    assert again.times == 0
    run_all([Entrant("one", "one-1", again), Entrant("two", "one-2", other)], sequences, tmp_path / "out")
    assert (again.times, other.times) == (1, 1)
    assert len(list((tmp_path / "out" / "one-1").iterdir())) == 3


def test_scores_are_those_of_an_evaluation(tmp_path: Path) -> None:
    sequences = read_sequences(drawn(tmp_path / "sequences"))
    results = run_all([Entrant("one", "one-1", Opened())], sequences, tmp_path / "out")["one"]
    for run in evaluate_model(load_tracker(DUMMY), sequences):
        assert results[run.sequence].scores == run.scores


def test_other_boxes_of_a_sequence_of_the_same_name_are_another_sequence(tmp_path: Path) -> None:
    opened = Opened()
    for number, speed in enumerate((1.0, 2.0)):
        folder = Drawing(width=160, height=120, side=24, speed_x=speed).write_sequence(
            tmp_path / str(number) / "ant", 4
        )
        run_all([Entrant("one", "one-1", opened)], [read_sequence(folder)], tmp_path / "out")
    assert opened.times == 2


def result(auc: float, cpu_ms: float) -> Result:
    return Result(Scores(auc, 0.5, 0.5, 0.5, 0.25, 0.125, frames=9), cpu_ms)


def test_the_tables_are_markdown_with_the_best_of_each_sequence_in_bold() -> None:
    results = {
        "good": {"ant": result(0.75, 2.0), "bee": result(0.5, 4.0), "cat": result(0.25, 3.0)},
        "fair": {"ant": result(0.5, 1.0), "bee": result(0.5, 1.0), "cat": result(0.0, 1.0)},
    }
    means = mean_table(results).splitlines()
    assert means[1].count("---") == means[0].count("|") - 1
    assert means[2] == "| good | .500 | .500 | .500 | .500 | .250 | .125 | 3.0 |"
    assert means[3] == "| fair | .333 | .250 | .500 | .500 | .250 | .125 | 1.0 |"
    assert sequence_table(results).splitlines()[2:] == [
        "| ant | tuning | **.750** | .500 |",
        "| bee | held-out | **.500** | **.500** |",
        "| cat | tuning | **.250** | .000 |",
    ]


def test_fears_windows_are_cut_towards_zero_and_its_boxes_stay_inside() -> None:
    assert enlarged(Pixels(4, 20, 5, 7), 0.2) == (3, 18, 7, 9)
    assert enlarged(Pixels(4, 20, 5, 7), 2.0) == (-6, 6, 25, 35)
    assert enlarged(Pixels(0, 0, 6, 7), 0.2) == (-1, -1, 8, 9)
    assert within(Pixels(-5, 10, 20, 20), FRAME) == (0, 10, 20, 20)
    assert within(Pixels(190, 95, 20, 20), FRAME) == (190, 95, 10, 5)
    assert within(Pixels(250, 120, 20, 1), FRAME) == (197, 97, 3, 3)


def assert_boxes_of_its_own_code(shared: Path, name: str, frames: int | None) -> None:
    sequence = read_sequence(shared / "data" / "eval" / name)
    wanted = read_boxes(shared / "data" / "eval_baselines" / "boxes" / "fear_xs" / f"{name}.txt")
    tracker, pictures = fear_factory(shared / "weights" / "fear_xs")(), sequence.frames()
    tracker.start(next(pictures), sequence.first_box)
    for index, picture in enumerate(islice(pictures, frames), 1):
        box = tracker.follow(picture, index / sequence.fps).box
        np.testing.assert_allclose(box.xywh(), wanted[index], atol=1)  # a processor may round another way


@pytest.mark.shared
@pytest.mark.parametrize("name", ["zebrafish", "parkour"])
def test_fear_gives_the_boxes_of_its_own_code(shared: Path, name: str) -> None:
    assert_boxes_of_its_own_code(shared, name, 5)


@pytest.mark.shared
@pytest.mark.slow
def test_fear_gives_the_boxes_of_its_own_code_to_the_end_of_every_sequence(shared: Path) -> None:
    for boxes in sorted((shared / "data" / "eval_baselines" / "boxes" / "fear_xs").glob("*.txt")):
        assert_boxes_of_its_own_code(shared, boxes.stem, None)
