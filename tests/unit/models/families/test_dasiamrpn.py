"""DaSiamRPN's conventions by hand."""

from __future__ import annotations

import pytest

from models.crops import Window
from models.families.dasiamrpn import RULES, window_around
from models.geometry import Box


def test_a_report_is_the_mark() -> None:
    assert RULES.report(RULES.start(Box(10, 20, 30, 40))) == Box(10, 20, 30, 40)
    assert RULES.start(Box(10, 20, 30, 40)).cx == 25


@pytest.mark.parametrize(
    ("centre", "side", "expected"),
    [
        (100.0, 51, Window(74, 74, 51)),
        (100.5, 51, Window(75, 75, 51)),  # 74.5
        (100.0, 50, Window(75, 75, 50)),  # 74.5
        (-2.0, 50, Window(-28, -28, 50)),  # -27.5: away from zero
        (100.0, 50.5, Window(74, 74, 51)),  # so is the side
    ],
)
def test_halves_go_away_from_zero(centre: float, side: float, expected: Window) -> None:
    assert window_around(centre, centre, side) == expected
