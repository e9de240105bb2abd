"""huanglianghua's conventions by hand."""

from __future__ import annotations

import numpy as np
import pytest

from models.crops import Window
from models.families.siamrpn_pytorch import RULES, window_around
from models.geometry import Box


def test_a_place_is_the_middle_between_the_first_and_the_last_pixel() -> None:
    place = RULES.start(Box(10, 20, 31, 41))
    assert (place.cx, place.cy) == (25, 40)
    assert RULES.report(place) == Box(10, 20, 31, 41)


@pytest.mark.parametrize(
    ("centre", "side", "expected"),
    [
        (100.0, 51, Window(75, 75, 51)),
        (100.0, 50, Window(76, 76, 50)),  # 75.5: to the even number
        (101.0, 50, Window(76, 76, 50)),  # 76.5
        (100.0, 50.5, Window(76, 76, 50)),
    ],
)
def test_halves_go_to_the_even_number(centre: float, side: float, expected: Window) -> None:
    assert window_around(centre, centre, side) == expected


def test_the_fill_is_rounded_and_not_cut() -> None:
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[0, 0] = (3, 2, 1)  # means 0.75, 0.5, 0.25
    assert RULES.fill(frame) == (1, 0, 0)


def test_sizes_follow_the_ranking() -> None:
    assert RULES.rate(0.9, 0.8, 0.7) == 0.7
