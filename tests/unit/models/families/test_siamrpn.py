"""pysot's conventions by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.crops import Window
from models.families.siamrpn import RULES, window_around
from models.geometry import Box
from models.spec import CropSpec

CROP = CropSpec(template_size=127, search_size=255, context_amount=0.5)


def test_a_report_lies_half_a_pixel_above_and_left_of_the_mark() -> None:
    assert RULES.report(RULES.start(Box(10, 20, 30, 40))) == Box(9.5, 19.5, 30, 40)


@pytest.mark.parametrize(
    ("centre", "side", "expected"),
    [
        (100.0, 51, Window(74, 74, 51)),  # 100 - 26, and halves go up
        (100.5, 51, Window(75, 75, 51)),
        (100.0, 50, Window(75, 75, 50)),
        (-2.0, 51, Window(-28, -28, 51)),
        (100.0, 50.5, Window(75, 75, 50)),  # the side's halves go to the even number
        (100.0, 51.5, Window(74, 74, 52)),
    ],
)
def test_windows_by_hand(centre: float, side: float, expected: Window) -> None:
    assert window_around(centre, centre, side) == expected


def test_the_search_window_is_wider_by_the_ratio_of_the_crops() -> None:
    place = Box.from_centre(200, 150, 40, 40)
    assert RULES.search_window(place, CROP, 127).side == 80
    assert RULES.search_window(place, CROP, 255).side == round(80 * 255 / 127)


@given(st.floats(0, 640), st.floats(0, 480), st.floats(10, 300), st.floats(10, 300))
def test_the_middle_of_the_crop_is_the_place_and_sizes_are_unscaled(cx: float, cy: float, w: float, h: float) -> None:
    place = Box.from_centre(cx, cy, w, h)
    window = RULES.search_window(place, CROP, 255)
    size = RULES.penalty_size(place, window, CROP, 255, 1)
    back = RULES.measured(Box.from_centre(127, 127, *size), place, window, CROP, 255)
    assert (back.cx, back.cy, back.w, back.h) == pytest.approx((cx, cy, w, h), abs=1e-9)
