"""Supervised and long-term measures: equal to the original code's; what vot-toolkit says was printed by its version
0.9.0 for the same files (tests/benchmarks/toolkits.py prints both anew)."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.benchmarks import longterm, supervised
from training.benchmarks.longterm import LongTermRun
from training.benchmarks.supervised import EAO_RANGES, SupervisedRun
from training.benchmarks.trajectories import (
    Code,
    code,
    read_confidences,
    read_trajectory,
    write_trajectory,
)
from training.datasets.tracks import DataInvalid

TRACKERS = ("good", "fair")
BOX = np.array([10.0, 10, 20, 20])
START, LOST, SKIPPED = code(Code.INITIALIZED), code(Code.FAILED), code(Code.UNKNOWN)


def size(expected: Any) -> tuple[int, int]:
    return expected["image_width"], expected["image_height"]


def supervised_runs(golden: Path, expected: Any, tracker: str) -> list[SupervisedRun]:
    results = golden / "vot/results" / tracker / "baseline"
    return [
        SupervisedRun(
            read_trajectory(results / name / f"{name}_001.txt"),
            read_trajectory(golden / f"vot/groundtruth/{name}.txt"),
            size(expected),
        )
        for name in expected["sequences"]
    ]


def longterm_runs(golden: Path, expected: Any, tracker: str) -> list[LongTermRun]:
    runs = []
    for name in expected["sequences"]:
        stem = golden / "votlt/results" / tracker / "longterm" / name / f"{name}_001"
        trajectory = read_trajectory(stem.with_name(f"{name}_001.txt"))
        confidences = read_confidences(stem.with_name(f"{name}_001_confidence.value"), len(trajectory))
        truth = read_trajectory(golden / f"votlt/groundtruth/{name}.txt")
        runs.append(LongTermRun(trajectory, np.array(confidences), truth, size(expected)))
    return runs


@pytest.mark.shared
@pytest.mark.parametrize("tracker", TRACKERS)
def test_supervised_scores_are_those_of_pysots_toolkit(golden: Path, expected: Any, tracker: str) -> None:
    runs, wanted = supervised_runs(golden, expected, tracker), expected["vot"][tracker]
    scores = supervised.pysot_scores(runs, EAO_RANGES["vot2018"])
    assert scores.accuracy == pytest.approx(wanted["accuracy"], abs=1e-6)
    assert scores.robustness == pytest.approx(wanted["robustness"], abs=1e-9)
    assert scores.failures == wanted["lost_number"]
    for year, published in (("vot2016", "VOT2016"), ("vot2018", "VOT2018"), ("vot2019", "VOT2019")):
        assert supervised.pysot_eao(runs, EAO_RANGES[year]) == pytest.approx(wanted["eao"][published], abs=1e-6)
    for name, run in zip(expected["sequences"], runs, strict=True):
        frames = [math.nan if value is None else value for value in wanted["overlaps_with_burnin"][name]]
        np.testing.assert_allclose(supervised.pysot_accuracies(run), frames, atol=1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("tracker", TRACKERS)
def test_expected_overlap_by_tag_is_that_of_pysots_toolkit(golden: Path, expected: Any, tracker: str) -> None:
    runs, tags = supervised_runs(golden, expected, tracker), json.loads((golden / "vot/tags.json").read_text())
    for tag, wanted in expected["vot"][tracker]["eao_range_10_60_per_tag"].items():
        flags = None if tag == "all" else [np.array(tags[name][tag], np.bool_) for name in expected["sequences"]]
        assert supervised.pysot_eao(runs, (10, 60), flags) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.shared
@pytest.mark.parametrize("tracker", TRACKERS)
def test_long_term_scores_are_those_of_pysots_toolkit(golden: Path, expected: Any, tracker: str) -> None:
    wanted = expected["votlt"][tracker]
    scores = longterm.pysot_scores(longterm_runs(golden, expected, tracker))
    assert scores.f_score == pytest.approx(wanted["f1"], abs=1e-6)
    assert scores.precision == pytest.approx(wanted["precision"], abs=1e-6)
    assert scores.recall == pytest.approx(wanted["recall"], abs=1e-6)
    assert scores.threshold == wanted["thresholds"][wanted["best_index"]]


def run(*trajectory: Any) -> SupervisedRun:
    return SupervisedRun(list(trajectory), [BOX] * len(trajectory), (100, 100))


def test_a_perfect_run_scores_one_and_burn_in_does_not_count() -> None:
    runs = [run(START, *[BOX] * 29)]
    for scores in (supervised.pysot_scores(runs, (5, 20)), supervised.vot_scores(runs, (5, 20))):
        assert (scores.accuracy, scores.robustness, scores.failures) == (1, 0, 0)
        assert scores.eao == pytest.approx(1)
    assert np.isnan(supervised.pysot_accuracies(runs[0])[:10]).all()


def test_after_a_failure_the_part_counts_as_zero() -> None:
    """Ten frames, lost in the sixth, never started again: five hits of nine lengths from the first on."""
    runs = [run(START, *[BOX] * 5, LOST, SKIPPED, SKIPPED, SKIPPED), run(START, *[BOX] * 9)]
    curve = supervised.vot_eao_curve(runs)
    assert curve[5] == pytest.approx(1)
    assert curve[9] == pytest.approx((5 / 9 + 1) / 2)
    assert supervised.vot_scores(runs, (1, 5)).robustness == 0.5
    assert supervised.pysot_scores(runs, (1, 5)).robustness == 5


def test_confidence_decides_what_counts_as_said() -> None:
    """Half of the frames are wrong and have the lower confidence: a threshold leaves them out."""
    away = np.array([60.0, 60, 20, 20])
    count = 200
    trajectory = [START, *([BOX, away] * count)][:count]
    confidences = np.array([math.nan, *([0.9, 0.2] * count)][:count])
    runs = [LongTermRun(trajectory, confidences, [BOX] * count, (100, 100))]
    for scores in (longterm.pysot_scores(runs), longterm.vot_scores(runs)):
        assert scores.precision == pytest.approx(1)
        assert scores.recall == pytest.approx(0.5)
        assert scores.threshold == 0.9


def test_short_results_have_fewer_thresholds() -> None:
    runs = [LongTermRun([START, BOX, BOX], np.array([math.nan, 0.5, 0.6]), [BOX] * 3, (100, 100))]
    assert longterm.pysot_scores(runs).recall == pytest.approx(2 / 3)
    assert longterm.vot_scores(runs).f_score == pytest.approx(0.8)


def test_trajectories_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "a_001.txt"
    write_trajectory(path, [START, BOX, LOST, np.arange(8.0)])
    assert path.read_text().splitlines()[:3] == ["1", "10.0000,10.0000,20.0000,20.0000", "2"]
    assert [row.tolist() for row in read_trajectory(path)] == [[1], [10, 10, 20, 20], [2], list(range(8))]


@pytest.mark.parametrize(("line", "told"), [("1,2,3", "3 numbers"), ("a,b", "no row of numbers")])
def test_a_line_that_is_no_region_is_named(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "a_001.txt"
    path.write_text(f"1\n{line}\n")
    with pytest.raises(DataInvalid, match=rf"a_001\.txt, line 2: .*{told}"):
        read_trajectory(path)


def test_confidences_that_do_not_fit_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.value"
    with pytest.raises(DataInvalid, match=r"a\.value: is missing"):
        read_confidences(path, 4)
    path.write_text("\n0.5\n0.6\n")
    assert read_confidences(path, 4)[1:3] == [0.5, 0.6]
    with pytest.raises(DataInvalid, match="3 confidences for 2 frames"):
        read_confidences(path, 2)
    path.write_text("high\n")
    with pytest.raises(DataInvalid, match="high"):
        read_confidences(path, 1)
