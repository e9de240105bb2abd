"""Where to look for a lost target: in turns where it was seen last and around that place, ring by ring."""

from __future__ import annotations

from models.geometry import Box, Size

RINGS = 4
"""How far the search goes, in steps of half a search window."""


def lost_search_box(last: Box, window_side: float, frame: Size, looks: int) -> Box:
    """Where to search next for a target that was seen last at `last`, after `looks` frames without it.

    Every second look goes to the last place, where an occluded target comes back; the others visit the places around it
    in steps of half a window, nearest first, as far as they are inside the frame, and begin anew after the last one.
    """
    if looks % 2 == 0:
        return last
    step = window_side / 2
    reach = range(-RINGS, RINGS + 1)
    places = sorted(
        (column * column + row * row, column, row)
        for column in reach
        for row in reach
        if (column or row) and 0 <= last.cx + column * step <= frame.w and 0 <= last.cy + row * step <= frame.h
    )
    if not places:
        return last
    _, column, row = places[looks // 2 % len(places)]
    return Box(last.x + column * step, last.y + row * step, last.w, last.h)
