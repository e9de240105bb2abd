"""Where to look for a lost target: in turns where it was seen last and around that place, then all over the frame, and
where `models.scanning` guesses it to be."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from models.geometry import Box, Size
from models.presence import Presence, State

STEP = 0.75
"""How far apart two places lie, in search windows: a target a quarter as wide as the window is whole in one of them."""
RINGS = 3
"""How far the search goes at first, in such steps."""
GLOBAL_AFTER_S = 2.0
"""How long a target has been lost when the search goes on over the whole frame."""
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

    Places lie STEP windows apart inside the frame; they are visited from the nearest to the farthest, those within
    RINGS steps at first, and then anew from the nearest."""
    step = STEP * window_side
    limit = None if is_global(presence) else RINGS
    reach = (last.cx // step, (frame.w - last.cx) // step, last.cy // step, (frame.h - last.cy) // step)
    offsets = _offsets(*(int(steps) if limit is None else min(int(steps), limit) for steps in reach))
    if not offsets:
        return last
    column, row = offsets[presence.visits % len(offsets)]
    return Box(last.x + column * step, last.y + row * step, last.w, last.h)


@lru_cache(maxsize=256)
def _offsets(left: int, right: int, up: int, down: int) -> tuple[tuple[int, int], ...]:
    """Columns and rows of all places but the middle one, the nearest first."""
    places = [(column, row) for column in range(-left, right + 1) for row in range(-up, down + 1) if column or row]
    return tuple(sorted(places, key=lambda place: (place[0] ** 2 + place[1] ** 2, place)))
