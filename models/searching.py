"""Where to look for a lost target: in turns where it was seen last and around that place, then all over the frame, and
where `models.scanning` guesses it to be."""

from __future__ import annotations

import math
from enum import StrEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from models.geometry import Box, Size
from models.presence import Presence, State

STEP = 0.75
"""How far apart two places lie, in search windows: a target a quarter as wide as the window is whole in one of them."""
RINGS = 3
"""How far the search goes at first, in such steps."""
GLOBAL_AFTER_S = 2.0
"""How long a target has been lost when the search goes on over the whole frame."""
MOST_PLACES = 65_536
"""Of the global search: enough for a target of 4 px in a 4K frame, which takes the better part of an hour to see."""
HOME_EVERY, GLOBAL_HOME_EVERY = 2, 4
"""Of so many looks one goes to where the target was seen last: at first, and in the global search."""
AGREEMENT = 1.0
"""How far apart, in sqrt(w h) of the target, two candidates in a row may lie for the same one."""
HOME_REACH = 1.0
"""How far from its last place, in search windows, a target has come back; farther it was found elsewhere, where one
that only looks like it is the likelier the longer the search goes on."""


class Search(StrEnum):
    """How far a target is searched; the names are those of the wire format."""

    NONE = "none"
    LOCAL = "local"
    WIDE = "wide"
    GLOBAL = "global"
    CARRIED = "carried"
    """not searched: it was carried here from the last look"""


def is_global(presence: Presence) -> bool:
    """Whether the target has been lost for so long that it may be anywhere in the frame."""
    return presence.state is State.LOST and presence.low_s >= GLOBAL_AFTER_S


def goes_home(presence: Presence) -> bool:
    """Whether the next look of a lost target goes to where it was seen last, where one that was covered comes back."""
    return presence.looks % (GLOBAL_HOME_EVERY if is_global(presence) else HOME_EVERY) == 0


def follows_guess(presence: Presence) -> bool:
    """Whether the next look goes to where the target was guessed to be; the others visit all places in order, since
    every guess may be wrong."""
    return presence.looks % GLOBAL_HOME_EVERY == 1


def visited_place(last: Box, window_side: float, frame: Size, presence: Presence) -> Box:
    """The place to look at next beside `last`, where the target was seen last, at the same size.

    Places lie STEP windows apart inside the frame, or farther if there would be more than MOST_PLACES; they are visited
    from the nearest to the farthest, those within RINGS steps at first, and then anew from the nearest."""
    step, limit = STEP * window_side, RINGS
    if is_global(presence):
        step, limit = max(step, math.sqrt(frame.w * frame.h / MOST_PLACES)), MOST_PLACES
    reach = (last.cx // step, (frame.w - last.cx) // step, last.cy // step, (frame.h - last.cy) // step)
    offsets = _offsets(*(min(int(steps), limit) for steps in reach))
    if not len(offsets):
        return last
    column, row = offsets[presence.visits % len(offsets)].tolist()
    return Box(last.x + column * step, last.y + row * step, last.w, last.h)


# With the most places half a megabyte each, and 7 ms to sort.
@lru_cache(maxsize=16)
def _offsets(left: int, right: int, up: int, down: int) -> NDArray[np.int32]:
    """(N, 2) columns and rows of all places but the middle one, the nearest first; of equally near ones the one
    farthest to the left, then the highest."""
    columns, rows = np.arange(-left, right + 1), np.arange(-up, down + 1)
    places = np.stack(np.meshgrid(columns, rows, indexing="ij"), axis=-1).reshape(-1, 2)
    # By column and row they are in order already, which a stable sort keeps; the middle one is the nearest.
    nearest_first = np.argsort((places**2).sum(axis=1), kind="stable")
    return places[nearest_first[1:]].astype(np.int32)
