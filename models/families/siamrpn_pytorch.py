"""Conventions of huanglianghua/siamrpn-pytorch: pixels are counted as in SiamFC++, and sizes follow the ranking."""

from __future__ import annotations

import cv2

from models.crops import Colour, Window
from models.families.siamfcpp import report, start
from models.families.squares import square_rules
from models.runtimes.base import ByteArray


def window_around(cx: float, cy: float, side: float) -> Window:
    """The corner x = round(cx - (side - 1) / 2), y alike, of a side that is rounded as well, all half to even.

    huanglianghua/siamrpn-pytorch, siamrpn.py, _crop_and_resize; SiamRPN-TF, utils/infer_utils.py."""
    whole = max(1, round(side))
    corner = (whole - 1) / 2
    return Window(round(cx - corner), round(cy - corner), whole)


def fill(frame: ByteArray) -> Colour:
    """The frame's mean colour, rounded: what OpenCV does with a border of fractions."""
    blue, green, red, _ = cv2.mean(frame)
    return round(blue), round(green), round(red)


def rate(penalty: float, score: float, ranking: float) -> float:
    """The ranking, with the window in it (siamrpn.py, update)."""
    return ranking


RULES = square_rules(start, report, window_around)._replace(fill=fill, rate=rate)
