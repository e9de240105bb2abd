"""Boxes: tables of cases by hand, and conversions there and back."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry import (
    Box,
    Size,
    centre_distance,
    intersection_over_union,
    kept_in_frame,
    xywh_to_xyxy,
    xyxy_to_xywh,
)

numbers = st.floats(-5000, 5000)
sides = st.floats(0.1, 5000)
boxes = st.builds(Box, numbers, numbers, sides, sides)


@given(boxes)
def test_a_box_goes_to_centre_and_back(box: Box) -> None:
    again = Box.from_centre(box.cx, box.cy, box.w, box.h)
    assert again.xywh() == pytest.approx(box.xywh(), abs=1e-6)


@given(boxes)
def test_a_box_goes_to_corners_and_back(box: Box) -> None:
    array = np.array(box.xywh())
    np.testing.assert_allclose(xyxy_to_xywh(xywh_to_xyxy(array)), array, atol=1e-6)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", range(4))
def test_one_number_that_is_not_finite_makes_the_box_so(place: int, wrong: float) -> None:
    values = [1.0, 2.0, 3.0, 4.0]
    assert Box(*values).is_finite()
    values[place] = wrong
    assert not Box(*values).is_finite()


@pytest.mark.parametrize(
    ("a", "b", "overlap"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 10, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 10, 10), 0.0),
        ((0, 0, 10, 10), (30, 30, 10, 10), 0.0),
        ((0, 0, 10, 10), (2, 2, 5, 5), 0.25),
        ((3, 3, 0, 0), (3, 3, 0, 0), 0.0),
    ],
)
def test_overlap_of_two_boxes(a: tuple[float, ...], b: tuple[float, ...], overlap: float) -> None:
    assert intersection_over_union(np.array(a, float), np.array(b, float)) == pytest.approx(overlap)


@given(boxes, boxes)
def test_overlap_is_symmetric_and_between_0_and_1(a: Box, b: Box) -> None:
    first, second = np.array(a.xywh()), np.array(b.xywh())
    overlap = float(intersection_over_union(first, second))
    assert 0 <= overlap <= 1 + 1e-9
    assert overlap == pytest.approx(float(intersection_over_union(second, first)))


def test_distance_is_between_centres() -> None:
    a, b = np.array([[0, 0, 10, 10], [0, 0, 2, 2]], float), np.array([[3, 4, 10, 10], [0, 0, 4, 2]], float)
    np.testing.assert_allclose(centre_distance(a, b), [5, 1])


@given(boxes, st.floats(8, 4000), st.floats(8, 4000))
def test_a_kept_box_has_its_centre_in_the_frame_and_sides_within_limits(box: Box, w: float, h: float) -> None:
    kept = kept_in_frame(box, Size(w, h), 4)
    assert -1e-6 <= kept.cx <= w + 1e-6
    assert -1e-6 <= kept.cy <= h + 1e-6
    assert 4 <= kept.w <= w
    assert 4 <= kept.h <= h


def test_a_box_that_keeps_the_limits_stays_as_it_is() -> None:
    box = Box(-5, 10, 20, 30)
    assert kept_in_frame(box, Size(640, 360), 4) == box
