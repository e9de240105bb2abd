"""What a score means: the fit finds the curve that made the data, and its figures are those of their definitions."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.calibration import logit, probability
from models.package import load_tracker
from models.spec import CalibrationSpec, SpecInvalid
from tests.drawing import Drawing
from training.calibration import Samples, area_under_curve, calibration_error, fit, followed
from training.evaluation.sequences import read_sequences


def _samples(score: np.ndarray, on_target: np.ndarray) -> Samples:
    nothing = np.zeros(len(score), np.bool_)
    return Samples(score, on_target, nothing, nothing)


def test_the_fit_finds_the_curve_that_made_the_answers() -> None:
    rng = np.random.default_rng(3)
    score, made_by = rng.uniform(0.01, 0.99, 20_000), CalibrationSpec(1.8, 0.9)
    true = np.array([probability(value, made_by) for value in score])
    samples = _samples(score, rng.random(len(true)) < true)
    found = fit(samples)
    assert found.score == pytest.approx(made_by.score, abs=0.1)
    assert found.offset == pytest.approx(made_by.offset, abs=0.1)
    assert calibration_error(samples.probabilities(found), samples.on_target) < 0.02
    assert calibration_error(score, samples.on_target) > 0.05


def test_answers_of_one_kind_cannot_be_fitted() -> None:
    with pytest.raises(ValueError, match="some must not be"):
        fit(_samples(np.array([0.2, 0.8]), np.array([True, True])))


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0.1, 5), st.floats(-5, 5))
def test_a_higher_score_is_never_less_probable(first: float, second: float, slope: float, offset: float) -> None:
    spec = CalibrationSpec(slope, offset)
    low, high = sorted((first, second))
    assert 0 <= probability(low, spec) <= probability(high, spec) <= 1
    assert probability(first, None) == first


@pytest.mark.parametrize("parted_at", [0.3, 0.5, 0.55])
def test_scores_without_a_fault_give_a_curve_that_can_be_used(parted_at: float) -> None:
    score = np.concatenate([np.linspace(parted_at - 0.02, parted_at - 0.001, 60), parted_at + np.linspace(0, 0.02, 60)])
    found = fit(_samples(score, np.arange(120) >= 60))
    assert probability(0.0, found) < 0.01
    assert probability(1.0, found) > 0.99
    assert probability(parted_at - 0.0005, found) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("score", "offset"), [(100.0, -100.0), (100.0, 100.0), (1e-9, 100.0)])
@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
def test_no_probability_overflows(score: float, offset: float, value: float) -> None:
    assert 0 <= probability(value, CalibrationSpec(score, offset)) <= 1


@pytest.mark.parametrize(
    ("score", "offset"), [(101.0, 0.0), (math.inf, 0.0), (math.nan, 0.0), (1.0, -101.0), (1.0, math.nan)]
)
def test_a_curve_without_bounds_is_refused(score: float, offset: float) -> None:
    with pytest.raises(SpecInvalid, match="100"):
        CalibrationSpec(score, offset)


def test_a_curve_that_falls_is_refused() -> None:
    with pytest.raises(SpecInvalid, match="above 0"):
        CalibrationSpec(0.0, 1.0)
    assert math.isfinite(logit(0.0)) and math.isfinite(logit(1.0))  # noqa: PT018 the two ends of one range


def test_the_calibration_error_is_the_distance_between_words_and_facts() -> None:
    probabilities = np.array([0.9] * 10 + [0.1] * 10)
    truth = np.array([True] * 7 + [False] * 3 + [True] * 1 + [False] * 9)
    assert calibration_error(probabilities, truth) == pytest.approx(0.1)
    assert math.isnan(calibration_error(np.zeros(0), np.zeros(0, np.bool_)))


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_the_area_counts_the_pairs_in_order(pairs: list[tuple[int, bool]]) -> None:
    values, positive = np.array([float(value) for value, _ in pairs]), np.array([flag for _, flag in pairs])
    wins = [
        1.0 if a > b else 0.5 if a == b else 0.0 for a in values[positive].tolist() for b in values[~positive].tolist()
    ]
    area = area_under_curve(values, positive)
    assert math.isnan(area) if not wins else area == pytest.approx(sum(wins) / len(wins))


def test_following_a_clip_tells_where_the_target_was_absent(tmp_path: Path) -> None:
    Drawing(width=96, height=96, side=24).write_sequence(tmp_path / "square", 8, absent=(5, 6))
    samples = followed(load_tracker("dummy"), read_sequences(tmp_path))
    assert samples.absent.tolist() == [False] * 4 + [True] * 2 + [False]
    assert samples.on_target[:4].all()
    assert not samples.on_target[samples.absent].any()
