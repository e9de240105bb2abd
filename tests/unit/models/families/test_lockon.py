"""Our own conventions: windows by hand, and boxes there and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.crops import Window
from models.families.lockon import RULES
from models.geometry import Box, Size
from models.spec import CropSpec

CROP = CropSpec(template_size=112, search_size=224, context_amount=0.5)


def test_a_place_is_the_marked_box() -> None:
    box = Box(10, 20, 30, 40)
    assert RULES.report(RULES.start(box)) == RULES.start(box) == box


def test_windows_by_hand() -> None:
    assert RULES.search_window(Box(100, 80, 50, 50), CROP, 224) == Window(25, 5, 200)


def test_a_template_is_the_square_around_the_target_and_its_context() -> None:
    frame = np.full((200, 300, 3), 40, np.uint8)
    frame[55:155, 75:175] = 200
    crop = np.empty((112, 112, 3), np.uint8)
    RULES.cut_template(frame, Box(100, 80, 50, 50), CROP, (0, 0, 0), crop)
    assert (crop == 200).all()


def test_a_tiny_target_still_has_a_window() -> None:
    assert RULES.search_window(Box(10, 10, 1, 1), CROP, 224).side == 8


@given(st.floats(10, 500), st.floats(10, 500), st.floats(4, 300), st.floats(4, 300))
def test_a_box_in_the_crop_is_measured_where_it_is_in_the_frame(cx: float, cy: float, w: float, h: float) -> None:
    place = Box.from_centre(cx, cy, w, h)
    window = RULES.search_window(place, CROP, 224)
    back = RULES.measured(window.to_crop(place, 224), place, window, CROP, 224)
    assert (back.cx, back.cy, back.w, back.h) == pytest.approx((cx, cy, w, h))


def test_the_middle_of_the_crop_is_the_middle_of_the_window() -> None:
    place, window = Box(100, 80, 50, 50), Window(25, 5, 200)
    box = RULES.measured(Box.from_centre(112, 112, 56, 28), place, window, CROP, 224)
    assert (box.cx, box.cy, box.w, box.h) == pytest.approx((125, 105, 50, 25))


def test_the_penalty_goes_by_the_size_in_the_crop_as_it_was_cut() -> None:
    size = RULES.penalty_size(Box(100, 80, 50, 25), Window(25, 5, 200), CROP, 224, 1)
    assert size == pytest.approx(Size(56, 28))


def test_the_size_follows_by_penalty_and_score() -> None:
    assert RULES.rate(0.8, 0.5, 0.9) == pytest.approx(0.4)
