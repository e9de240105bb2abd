"""Conventions of SiamRPN_plus_plus_PyTorch, as far as it has any: its crops, its boxes, its grid. It has no tracker.

So this is pysot's loop with its crops (preprocessing/create_dataset.py, get_instance_image) and with the constants that
its config.py lists but nothing there reads: penalty_k 0.22, window_influence 0.40, lr_box 0.30.
"""

from __future__ import annotations

import math

from models.crops import Colour, Window, cut_rectangle
from models.families.siamfcpp import report, start
from models.families.squares import square_rules
from models.frames import FrameLike
from models.runtimes.base import ByteArray

_TIE = 1e-6
"""What the code adds before it rounds, so that halves go up."""


def window_around(cx: float, cy: float, side: float) -> Window:
    """The corner x = cx - (side - 1) / 2, y alike; nothing is rounded before the corners are."""
    return Window(cx - (side - 1) / 2, cy - (side - 1) / 2, side)


def cut(frame: FrameLike, window: Window, out: ByteArray, fill: Colour) -> None:
    """Cuts from the pixel nearest to the window's first corner to the one nearest to its last (crop_and_pad)."""
    left, top = _nearest(window.x), _nearest(window.y)
    width, height = (_nearest(start + window.side - 1) + 1 for start in (window.x, window.y))
    cut_rectangle(frame, (left, top, width - left, height - top), out, fill)


def _nearest(value: float) -> int:
    return math.floor(value + _TIE + 0.5)


RULES = square_rules(start, report, window_around, cut)
