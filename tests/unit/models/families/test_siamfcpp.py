"""video_analyst's conventions by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.crops import Window
from models.families.siamfcpp import RULES, cut, window_around
from models.geometry import Box
from models.spec import CropSpec

CROP = CropSpec(template_size=127, search_size=303, context_amount=0.5)
FILL = (10, 20, 30)


def test_a_place_is_the_middle_between_the_first_and_the_last_pixel() -> None:
    place = RULES.start(Box(10, 20, 31, 40))
    assert (place.cx, place.cy, place.w, place.h) == (25, 39.5, 31, 40)
    assert RULES.report(place) == Box(10, 20, 31, 40)


@pytest.mark.parametrize(
    ("centre", "side", "expected"),
    [
        (100.0, 51.0, Window(75, 75, 51)),
        (100.0, 50.0, Window(75.5, 75.5, 50)),
        (100.25, 50.5, Window(75.75, 75.75, 50)),  # halves go to the even number
        (100.0, 51.5, Window(74.5, 74.5, 52)),
        (5.0, 0.2, Window(5, 5, 1)),
    ],
)
def test_windows_by_hand(centre: float, side: float, expected: Window) -> None:
    assert window_around(centre, centre, side) == expected


def test_the_search_window_shows_the_target_at_the_template_scale() -> None:
    place = Box.from_centre(200, 150, 40, 40)
    assert RULES.search_window(place, CROP, 127).side == 80
    assert RULES.search_window(place, CROP, 303).side == round(80 * 303 / 127)
    assert RULES.search_window(place, CROP, 399).side == round(80 * 399 / 127)


@given(st.floats(0, 640), st.floats(0, 480), st.floats(10, 300), st.floats(10, 300), st.sampled_from([303, 399]))
def test_the_middle_pixel_of_the_crop_is_the_place(cx: float, cy: float, w: float, h: float, size: int) -> None:
    place = Box.from_centre(cx, cy, w, h)
    window = RULES.search_window(place, CROP, size)
    seen = RULES.penalty_size(place, window, CROP, size, 1)
    back = RULES.measured(Box.from_centre(size // 2, size // 2, *seen), place, window, CROP, size)
    assert (back.cx, back.cy, back.w, back.h) == pytest.approx((cx, cy, w, h), abs=1e-9)


def test_a_window_of_the_crops_own_size_is_a_copy_of_its_pixels() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    crop = np.empty((31, 31, 3), np.uint8)
    cut(frame, Window(20, 15, 31), crop, FILL)
    np.testing.assert_array_equal(crop, frame[15:46, 20:51])


def test_outside_of_the_frame_is_the_fill() -> None:
    frame = np.full((60, 80, 3), 200, np.uint8)
    crop = np.empty((31, 31, 3), np.uint8)
    cut(frame, Window(-10, 50, 31), crop, FILL)
    assert (crop[:10, 10:] == 200).all()
    assert (crop[:, :10] == FILL).all()
    assert (crop[10:] == FILL).all()
    cut(frame, Window(500, 500, 31), crop, FILL)
    assert (crop == FILL).all()


def test_the_corner_pixels_of_the_crop_are_those_of_the_window() -> None:
    ramp = np.arange(200, dtype=np.uint8)
    frame = np.tile(ramp[:, None], (100, 1, 3))
    crop = np.empty((21, 21, 3), np.uint8)
    cut(frame, Window(30, 20, 61), crop, FILL)
    assert crop[:, 0].min() == crop[:, 0].max() == 30
    assert crop[:, -1].min() == crop[:, -1].max() == 90
    assert (crop[0, :, 0] == np.arange(30, 91, 3)).all()
