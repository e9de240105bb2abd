"""Metrics against tables worked out by hand, and what holds for all boxes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from training.evaluation.metrics import (
    METRICS,
    average_overlap,
    mean_scores,
    normalized_precision_auc,
    precision,
    score,
    scored_frames,
    success_auc,
    success_rate,
)

Boxes = NDArray[np.float64]
TRUTH = np.array([[0.0, 0, 10, 10]])

boxes = arrays(np.float64, (5, 4), elements=st.floats(0, 300)).map(lambda a: a + np.array([0, 0, 1, 1]))


def one(*box: float) -> Boxes:
    return np.array([box], np.float64)


@pytest.mark.parametrize(
    ("predicted", "overlap", "auc"),
    [
        # IoU 1 is above 0, .05 ... .95 and not above 1.
        (one(0, 0, 10, 10), 1.0, 20 / 21),
        # Half of the box: IoU 50 / 100, above 0 ... .45, not above .5 itself.
        (one(0, 0, 10, 5), 0.5, 10 / 21),
        # Moved by half its width: IoU 50 / 150, above 0, .05 ... .3.
        (one(5, 0, 10, 10), 1 / 3, 7 / 21),
        # A quarter: IoU 25 / 100, above 0, .05 ... .2, not above .25 itself.
        (one(0, 0, 5, 5), 0.25, 5 / 21),
        (one(50, 50, 10, 10), 0.0, 0.0),
        (one(np.nan, 0, 10, 10), 0.0, 0.0),
        (one(np.inf, 0, 10, 10), 0.0, 0.0),
    ],
)
def test_success_counts_thresholds_strictly_below_the_overlap(predicted: Boxes, overlap: float, auc: float) -> None:
    assert average_overlap(predicted, TRUTH) == pytest.approx(overlap)
    assert success_auc(predicted, TRUTH) == pytest.approx(auc)


def test_success_rate_at_the_threshold_itself_is_no_success() -> None:
    predicted = np.concatenate([one(0, 0, 10, 5), one(0, 0, 10, 6), one(0, 0, 10, 10), one(90, 90, 10, 10)])
    truth = np.repeat(TRUTH, 4, axis=0)
    assert success_rate(predicted, truth, 0.5) == 0.5
    assert success_rate(predicted, truth, 0.75) == 0.25


def test_precision_includes_the_limit() -> None:
    predicted = np.concatenate([one(12, 16, 10, 10), one(12, 16.01, 10, 10), one(np.nan, 0, 1, 1)])
    assert precision(predicted, np.repeat(TRUTH, 3, axis=0), 20) == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("predicted", "truth", "expected"),
    [
        (one(0, 0, 10, 10), TRUTH, 1.0),
        # 1 px right of a box 10 px wide: error .1, at most .1, .11 ... .5 (41 of 51 thresholds).
        (one(1, 0, 10, 10), TRUTH, 41 / 51),
        # The same pixel counts half as much in a box 20 px wide: error .05 (46 of 51).
        (one(1, 0, 20, 10), one(0, 0, 20, 10), 46 / 51),
        # 3 px of 10 to the right and 4 px of 10 down: error .5, only at the last threshold.
        (one(3, 4, 10, 10), TRUTH, 1 / 51),
        (one(6, 0, 10, 10), TRUTH, 0.0),
        (one(np.nan, 0, 10, 10), TRUTH, 0.0),
    ],
)
def test_normalized_precision_divides_the_error_by_the_true_size(
    predicted: Boxes, truth: Boxes, expected: float
) -> None:
    assert normalized_precision_auc(predicted, truth) == pytest.approx(expected)


def test_the_first_frame_and_frames_without_truth_are_not_scored() -> None:
    truth = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10], [np.nan] * 4, [0, 0, 10, 10]])
    predicted = np.array([[90.0, 90, 1, 1], [0, 0, 10, 10], [90, 90, 1, 1], [0, 0, 10, 5]])
    assert scored_frames(truth).tolist() == [False, True, False, True]
    scores = score(predicted, truth)
    assert scores.frames == 2
    assert scores.ao == pytest.approx(0.75)
    assert scores.auc == pytest.approx((20 / 21 + 10 / 21) / 2)
    assert (scores.sr50, scores.sr75, scores.precision20) == (0.5, 0.5, 1.0)


def test_boxes_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match="2 predicted boxes for 3 frames"):
        score(np.zeros((2, 4)), np.zeros((3, 4)))


def test_equal_boxes_are_not_above_the_last_threshold_however_they_round() -> None:
    boxes_of_thirds = np.array([[0.1, 0.7, 1.96533421, 1 / 3]] * 2)
    assert score(boxes_of_thirds, boxes_of_thirds).auc == pytest.approx(20 / 21)


def test_nothing_to_score_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to score"):
        score(np.zeros((2, 4)), np.array([[0.0, 0, 9, 9], [np.nan] * 4]))


def test_every_sequence_counts_the_same_in_the_mean() -> None:
    truth = np.repeat(TRUTH, 3, axis=0)
    perfect, lost = score(truth, truth), score(np.full((11, 4), 90.0), np.repeat(TRUTH, 11, axis=0))
    mean = mean_scores([perfect, lost])
    assert mean.ao == 0.5
    assert mean.frames == 12


@given(boxes, boxes)
def test_metrics_are_shares_and_agree_with_each_other(predicted: Boxes, truth: Boxes) -> None:
    scores = score(predicted, truth)
    assert all(0 <= getattr(scores, name) <= 1 for name in METRICS)
    assert scores.sr75 <= scores.sr50
    # The area under the curve is the mean overlap up to the width of a threshold step.
    assert abs(scores.auc - scores.ao) <= 0.05 + 1e-9


@given(boxes, st.floats(-500, 500), st.floats(-500, 500))
def test_moving_everything_changes_no_precision(truth: Boxes, dx: float, dy: float) -> None:
    moved = truth + np.array([dx, dy, 0, 0])
    scores = score(moved, moved)
    assert (scores.precision20, scores.normalized_precision, scores.sr75) == (1, 1, 1)


@given(boxes, boxes, st.sampled_from([0.5, 2.0, 4.0]))
def test_overlap_and_normalized_precision_do_not_depend_on_the_scale(
    predicted: Boxes, truth: Boxes, factor: float
) -> None:
    before, after = score(predicted, truth), score(predicted * factor, truth * factor)
    assert before.auc == pytest.approx(after.auc)
    assert before.normalized_precision == pytest.approx(after.normalized_precision)


def test_scoring_changes_no_argument() -> None:
    predicted, truth = np.array([[1.0, 2, 3, 4]] * 3), np.array([[1.0, 2, 3, 4], [np.nan] * 4, [5, 6, 7, 8]])
    copies = predicted.copy(), truth.copy()
    score(predicted, truth)
    np.testing.assert_array_equal(predicted, copies[0])
    np.testing.assert_array_equal(truth, copies[1])
