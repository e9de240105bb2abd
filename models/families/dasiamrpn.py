"""DaSiamRPN's conventions: places are marked boxes, and halves are rounded away from zero, as its Python 2 did."""

from __future__ import annotations

import math

from models.crops import Window
from models.families.squares import square_rules, unchanged


def window_around(cx: float, cy: float, side: float) -> Window:
    """The corner x = round(cx - (side + 1) / 2), y alike, of a side that is rounded as well.

    DaSiamRPN, code/utils.py, get_subwindow_tracking; code/run_SiamRPN.py."""
    whole = max(1, _rounded(side))
    corner = (whole + 1) / 2
    return Window(_rounded(cx - corner), _rounded(cy - corner), whole)


def _rounded(value: float) -> int:
    """The nearest whole number; 2.5 gives 3, -2.5 gives -3."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


RULES = square_rules(unchanged, unchanged, window_around)
