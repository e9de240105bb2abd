"""SiamFC++: windows by hand, and the smoothing of sizes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.crops import Window
from models.families import FAMILIES
from models.families.siamfcpp import search_window, smooth, template_window, to_frame
from models.geometry import Box
from models.spec import CropSpec, Family, LoopSpec

CROP = CropSpec(template_size=112, search_size=224, context_amount=0.5)
LOOP = LoopSpec(penalty_k=0.1, window_influence=0.3, size_lr=0.5)


def test_every_family_has_its_rules() -> None:
    assert set(FAMILIES) == set(Family)


def test_windows_by_hand() -> None:
    box = Box(100, 80, 50, 50)
    assert template_window(box, CROP) == Window(75, 55, 100)
    assert search_window(box, CROP) == Window(25, 5, 200)


def test_a_tiny_target_still_has_a_window() -> None:
    assert template_window(Box(10, 10, 1, 1), CROP).side == 8


@given(st.floats(10, 500), st.floats(10, 500), st.floats(4, 300), st.floats(4, 300))
def test_the_target_has_the_same_size_in_both_crops(cx: float, cy: float, w: float, h: float) -> None:
    box = Box.from_centre(cx, cy, w, h)
    in_template = template_window(box, CROP).to_crop(box, CROP.template_size)
    in_search = search_window(box, CROP).to_crop(box, CROP.search_size)
    assert in_template.w == pytest.approx(in_search.w, rel=0.07)
    assert in_template.h == pytest.approx(in_search.h, rel=0.07)


def test_the_middle_of_the_crop_is_the_middle_of_the_window() -> None:
    box = to_frame(Box.from_centre(112, 112, 56, 28), Window(25, 5, 200), CROP)
    assert (box.cx, box.cy, box.w, box.h) == pytest.approx((125, 105, 50, 25))


def test_the_position_is_taken_and_the_size_is_smoothed() -> None:
    moved = smooth(Box.from_centre(50, 50, 40, 20), Box.from_centre(60, 55, 80, 10), 0.8, 0.5, LOOP)
    assert (moved.cx, moved.cy, moved.w, moved.h) == pytest.approx((60, 55, 48, 18))


@given(st.floats(0, 1), st.floats(0, 1))
def test_the_size_lies_between_the_two(penalty: float, score: float) -> None:
    moved = smooth(Box(0, 0, 40, 20), Box(5, 5, 80, 10), penalty, score, LOOP)
    assert 40 <= moved.w <= 60
    assert 15 <= moved.h <= 20
