"""Overlaps of regions, counted pixel by pixel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from training.benchmarks.regions import Region, pysot_overlap, start_box, truth_polygon, vot_overlap

CODE = np.array([1.0])


def region(*numbers: float) -> Region:
    return np.array(numbers, np.float64)


@pytest.mark.shared
def test_overlaps_are_those_of_pysots_toolkit(expected: Any) -> None:
    for case in expected["region_overlap"]:
        bounds = tuple(case["bound"]) if case["bound"] else None
        overlap = pysot_overlap(region(*np.ravel(case["a"])), region(*np.ravel(case["b"])), bounds)
        wanted = math.nan if case["overlap"] is None else case["overlap"]
        assert overlap == pytest.approx(wanted, abs=1e-6, nan_ok=True), case


@pytest.mark.parametrize(
    ("a", "b", "pysot", "vot"),
    [
        # 20 wide: 21 pixels for one, 20 for the other.
        (region(0, 0, 20, 20), region(0, 0, 10, 20), 11 / 21, 10 / 20),
        (region(0, 0, 20, 20), region(20, 0, 20, 20), 0.0, 0.0),
        (region(0, 0, 20, 20), region(50, 50, 5, 5), 0.0, 0.0),
        # The same square as box and as polygon: corners belong to the polygon in both.
        (region(0, 0, 10, 10), region(0, 0, 10, 0, 10, 10, 0, 10), 1.0, 100 / 121),
        # A rhombus with rows of 1, 3, 5, 3, 1 pixels: pysot's toolkit leaves out those of one.
        (region(2, 0, 4, 2, 2, 4, 0, 2), region(0, 0, 5, 5), 11 / 36, 13 / 25),
        (CODE, region(0, 0, 5, 5), math.nan, 0.0),
    ],
)
def test_pixels_are_counted_as_each_toolkit_counts_them(a: Region, b: Region, pysot: float, vot: float) -> None:
    for one, other in ((a, b), (b, a)):
        assert pysot_overlap(one, other, (100, 100)) == pytest.approx(pysot, nan_ok=True)
        assert vot_overlap(one, other, (100, 100)) == pytest.approx(vot)


def test_only_pixels_within_the_bounds_count() -> None:
    assert vot_overlap(region(-10, 0, 20, 10), region(0, 0, 10, 10), (100, 100)) == 1
    assert vot_overlap(region(-10, 0, 20, 10), region(0, 0, 10, 10)) == 0.5
    assert vot_overlap(region(200, 0, 20, 10), region(200, 0, 10, 10), (100, 100)) == 0
    assert vot_overlap(CODE, CODE) == 1


def test_a_tracker_is_started_with_a_box_of_the_polygons_area() -> None:
    """The first frame of ants1 in VOT2018."""
    polygon = region(137.21, 458.36, 156.83, 460.78, 148.35, 529.41, 128.72, 526.99)
    x, y, w, h = start_box(polygon)
    assert (w, h) == (pytest.approx(24.2562, abs=1e-4), pytest.approx(59.7818, abs=1e-4))
    assert (x + (w - 1) / 2, y + (h - 1) / 2) == (pytest.approx(142.7775), pytest.approx(493.885))
    assert start_box(region(1, 2, 3, 4)).tolist() == [1, 2, 3, 4]
    assert np.isfinite(start_box(region(5, 5, 5, 5, 5, 5, 5, 5))).all()


def test_a_true_rectangle_ends_with_its_last_pixel() -> None:
    assert truth_polygon(region(1, 2, 10, 20)).tolist() == [1, 2, 1, 21, 10, 21, 10, 2]
    assert truth_polygon(CODE) is CODE
