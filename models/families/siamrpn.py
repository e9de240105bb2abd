"""pysot's conventions, and NanoTrack's: a target starts as in SiamFC++ and is told half a pixel further up and left."""

from __future__ import annotations

import math

from models.crops import Window
from models.families.siamfcpp import start
from models.families.squares import square_rules, unchanged


def window_around(cx: float, cy: float, side: float) -> Window:
    """The corner x = floor(cx - (side + 1) / 2 + 0.5), y alike, of a side that is rounded half to even.

    pysot, tracker/base_tracker.py, get_subwindow."""
    whole = max(1, round(side))
    corner = (whole + 1) / 2
    return Window(math.floor(cx - corner + 0.5), math.floor(cy - corner + 0.5), whole)


# Not each other's inverse: tracker/siamrpn_tracker.py takes cx = x + (w - 1) / 2, and gives x = cx - w / 2.
RULES = square_rules(start, unchanged, window_around)
