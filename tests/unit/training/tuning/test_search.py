"""The search over the loop's constants: what is tried, what is kept, and what the winner is worth elsewhere."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.package import DEFAULT_MODEL, find_package, load_tracker, read_package
from models.tracker import Tracker
from tests.drawing import Drawing
from training.benchmarks.sequences import BENCHMARKS, read_benchmark
from training.evaluation.ope import ModelTracker, run_sequence
from training.evaluation.sequences import read_sequence
from training.tuning.caching import CachingRuntime, write_map_graphs
from training.tuning.search import Judged, Method, Tuning, TuningRefused, judge, objective, search
from training.tuning.space import Constants, Range, Space
from training.tuning.winner import write_tuned

SMALL = Space(Range(0.0, 0.2, 0.2), Range(0.2, 0.8, 0.6), Range(0.3, 0.3, 1.0))


@pytest.fixture
def tuning(tmp_path: Path) -> Tuning:
    for seed, name in enumerate("abcd"):
        Drawing(seed=seed, width=160, height=120, side=24, speed_x=9).write_sequence(tmp_path / "data" / name, 5)
    sequences = read_benchmark(BENCHMARKS["folder"], tmp_path / "data")[1]
    return Tuning("dummy", "folder", sequences, SMALL, Method.GRID, tmp_path / "out")


def test_a_grid_is_gone_through_once_however_often_it_is_stopped(tuning: Tuning) -> None:
    values: list[float] = []
    search(tuning, 1, 1, values.append)
    search(tuning, 3, 1, values.append)
    best = search(tuning, 99, 1, values.append)
    assert len(values) == 4
    assert {path.name for path in (tuning.folder / "trials").iterdir()} == {point.name for point in SMALL.points()}
    assert sorted(path.name for path in (tuning.folder / "trials" / best.name).glob("*.txt")) == ["a.txt", "c.txt"]
    search(tuning, 99, 1, values.append)
    assert len(values) == 4
    judged = judge(tuning, best, 1)
    assert judged.tuning == max(values)
    assert 0 <= judged.held_out <= 1


@pytest.mark.parametrize("method", [Method.RANDOM, Method.TPE])
def test_a_search_that_goes_on_ends_where_one_in_one_go_ends(tuning: Tuning, method: Method, tmp_path: Path) -> None:
    space = Space(Range(0, 0.5, 0.05))
    wide = replace(tuning, method=method, space=space, folder=tmp_path / "whole")
    parts = replace(wide, folder=tmp_path / "parts")
    whole: list[float] = []
    pieces: list[float] = []
    search(wide, 4, 1, whole.append)
    for trials in (1, 3, 4):
        search(parts, trials, 1, pieces.append)
    assert whole == pieces
    tried, again = ({path.name for path in (each.folder / "trials").iterdir()} for each in (wide, parts))
    assert tried == again
    assert len(tried) > 1
    assert tuning.present.name in tried, "the model's own constants come first"


@pytest.mark.slow
def test_processes_share_one_search(tuning: Tuning) -> None:
    values: list[float] = []
    search(tuning, 3, 2, values.append)
    assert len(values) == 3
    search(tuning, 4, 1, values.append)
    assert len(list((tuning.folder / "trials").iterdir())) == 4


def test_what_cannot_be_searched_is_refused(tuning: Tuning, tmp_path: Path) -> None:
    search(tuning, 1, 1)
    with pytest.raises(TuningRefused, match=r"holds another search \(space\)"):
        search(replace(tuning, space=Space()), 2, 1)
    slower = [replace(each, fps=10.0) for each in tuning.sequences]
    with pytest.raises(TuningRefused, match=r"holds another search \(data\)"):
        search(replace(tuning, sequences=slower), 2, 1)
    with pytest.raises(TuningRefused, match="two sequences"):
        search(replace(tuning, sequences=tuning.sequences[:1]), 2, 1)
    hidden = [
        replace(each, truth=np.where(np.arange(5)[:, None] == 0, each.truth, np.nan)) for each in tuning.sequences
    ]
    with pytest.raises(TuningRefused, match="not published"):
        search(replace(tuning, sequences=hidden, folder=tmp_path / "other"), 1, 1)


def test_each_benchmark_is_tuned_by_its_own_score() -> None:
    assert {name: objective(benchmark) for name, benchmark in BENCHMARKS.items() if name != "trackingnet"} == {
        "otb100": "pysot.success",
        "uav123": "pysot.success",
        "lasot": "pysot.success",
        "got10k": "got10k.ao",
        "vot2018": "pysot.eao",
        "vot2019": "pysot.eao",
        "votlt": "pysot.f_score",
        "folder": "lockon.success",
    }


def test_the_winner_becomes_a_package_that_says_what_it_is_worth(tuning: Tuning, tmp_path: Path) -> None:
    best = Constants(0.11, 0.31, 0.41)
    shipped = replace(tuning, model=DEFAULT_MODEL)
    write_tuned(shipped, Judged(shipped.present, 0.5, 0.6), Judged(best, 0.55, 0.58), tmp_path / "tuned")
    package, before = read_package(tmp_path / "tuned"), find_package(DEFAULT_MODEL)
    assert Constants.of(package.spec.loop) == best
    assert shipped.present.applied(package.spec) == before.spec
    assert package.origin["tuned"]["after"]["held_out"] == 0.58
    assert package.origin["tuned"]["tuning_half"] == ["a", "c"]
    assert package.scores == {}
    assert set(package.files) == set(before.files)


@pytest.mark.slow
def test_remembered_maps_give_the_same_boxes_in_less_time(tmp_path: Path) -> None:
    """Exporting takes the time. The two graphs may round differently, by which a box moves by next to nothing."""
    sequence = read_sequence(Drawing().write_sequence(tmp_path / "square", 12))
    tracker = load_tracker(DEFAULT_MODEL)
    maps = write_map_graphs(find_package(DEFAULT_MODEL), tmp_path)
    written = {path: path.stat().st_mtime_ns for path in maps.values()}
    assert write_map_graphs(find_package(DEFAULT_MODEL), tmp_path) == maps
    assert {path: path.stat().st_mtime_ns for path in maps.values()} == written
    cached = CachingRuntime(tracker.runtime, tracker.spec, maps)
    plain = run_sequence(ModelTracker(tracker), sequence).boxes
    for hits in (0, 11):
        boxes = run_sequence(ModelTracker(Tracker(tracker.spec, cached)), sequence).boxes
        np.testing.assert_allclose(boxes, plain, atol=0.02)
        assert (cached.hits, cached.misses) == (hits, 11)
    small = CachingRuntime(tracker.runtime, tracker.spec, maps, memory=1)
    run_sequence(ModelTracker(Tracker(tracker.spec, small)), sequence)
    assert small.hits == 0
