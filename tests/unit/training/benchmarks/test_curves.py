"""One-pass metrics: equal to the original code's, and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from training.benchmarks.curves import (
    Curves,
    got10k_curves,
    got10k_overlaps,
    iou,
    mean_curves,
    pysot_curves,
    success_of,
)

Boxes = NDArray[np.float64]
TRACKERS = ("good", "fair")


def boxes(path: Path) -> Boxes:
    return np.loadtxt(path, delimiter=",", ndmin=2)


def flags(golden: Path, name: str) -> NDArray[np.bool_]:
    return np.asarray(boxes(golden / f"ope/groundtruth/{name}.visible.txt").ravel() > 0)


def pairs(golden: Path, expected: Any, tracker: str) -> dict[str, tuple[Boxes, Boxes]]:
    return {
        name: (boxes(golden / f"ope/results/{tracker}/{name}.txt"), boxes(golden / f"ope/groundtruth/{name}.txt"))
        for name in expected["sequences"]
    }


@pytest.mark.shared
@pytest.mark.parametrize("tracker", TRACKERS)
@pytest.mark.parametrize("absences", [False, True])
def test_curves_are_those_of_pysots_toolkit(golden: Path, expected: Any, tracker: str, absences: bool) -> None:
    wanted = expected["ope"]["with_absence" if absences else "plain"][tracker]
    curves = {
        name: pysot_curves(found, truth, flags(golden, name) if absences else None)
        for name, (found, truth) in pairs(golden, expected, tracker).items()
    }
    for name, curve in curves.items():
        np.testing.assert_allclose(curve.success, wanted["success_curve"][name], atol=1e-12)
        np.testing.assert_allclose(curve.precision, wanted["precision_curve"][name], atol=1e-12)
        assert curve.normalized is not None
        np.testing.assert_allclose(curve.normalized, wanted["norm_precision_curve"][name], atol=1e-12)
    mean = mean_curves(list(curves.values()))
    assert mean.success.mean() == pytest.approx(wanted["success_auc"], abs=1e-12)
    assert mean.precision[20] == pytest.approx(wanted["precision_at_20"], abs=1e-12)
    assert mean.normalized is not None
    assert mean.normalized[20] == pytest.approx(wanted["norm_precision_at_0_20"], abs=1e-12)


@pytest.mark.shared
@pytest.mark.parametrize("tracker", TRACKERS)
def test_curves_are_those_of_the_got10k_package(golden: Path, expected: Any, tracker: str) -> None:
    wanted = expected["got10k"][tracker]
    films = pairs(golden, expected, tracker)
    mean = mean_curves([got10k_curves(found, truth) for found, truth in films.values()])
    np.testing.assert_allclose(mean.success, wanted["otb"]["success_curve_21"], atol=1e-12)
    np.testing.assert_allclose(mean.precision, wanted["otb"]["precision_curve_51"], atol=1e-12)
    size = (expected["image_width"], expected["image_height"])
    overlaps = {
        name: got10k_overlaps(found, truth, flags(golden, name), size) for name, (found, truth) in films.items()
    }
    for name, values in overlaps.items():
        assert values.mean() == pytest.approx(wanted["got10k"]["per_sequence"][name]["ao"], abs=1e-12)
        assert len(values) == wanted["got10k"]["per_sequence"][name]["frames"]
    pooled = np.concatenate(list(overlaps.values()))
    assert pooled.mean() == pytest.approx(wanted["got10k"]["ao"], abs=1e-12)
    assert (pooled > 0.75).mean() == pytest.approx(wanted["got10k"]["sr_0_75"], abs=1e-12)
    np.testing.assert_allclose(success_of(pooled), wanted["got10k"]["success_curve_101"], atol=1e-12)


def test_pysot_counts_a_frame_without_a_target_as_a_miss_in_success_and_a_hit_in_precision() -> None:
    truth = np.array([[10.0, 10, 20, 20], [np.nan] * 4, [0, 0, 0, 0]])
    curves = pysot_curves(np.full((3, 4), 10.0), truth)
    assert curves.success[0] == pytest.approx(1 / 3)
    assert curves.precision[0] == pytest.approx(2 / 3)


def test_frames_flagged_absent_leave_the_counts_and_not_the_number_of_frames() -> None:
    truth = np.array([[10.0, 10, 20, 20]] * 4)
    curves = pysot_curves(truth, truth, np.array([True, False, True, False]))
    assert curves.success[0] == curves.precision[0] == 0.5


def test_got10k_cuts_boxes_to_the_picture_and_leaves_out_the_first_and_the_covered_frames() -> None:
    truth = np.array([[0.0, 0, 10, 10], [90, 0, 20, 10], [0, 0, 10, 10]])
    found = truth.copy()
    found[1, 2] = 10
    overlaps = got10k_overlaps(found, truth, np.array([True, True, False]), (100, 100))
    assert overlaps.tolist() == [pytest.approx(1.0)]


def test_no_argument_is_changed() -> None:
    truth = np.array([[-5.0, -5, 20, 20]] * 2)
    before = truth.copy()
    got10k_overlaps(truth, truth, np.ones(2, np.bool_), (10, 10))
    iou(truth, truth)
    np.testing.assert_array_equal(truth, before)


def test_curves_without_normalised_precision_have_a_mean_without_it() -> None:
    mean = mean_curves([Curves(np.zeros(21), np.ones(51), None)] * 2)
    assert mean.normalized is None
    assert mean.precision[0] == 1
