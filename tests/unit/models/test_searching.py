"""Where a lost target is looked for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from models.geometry import Box, Size
from models.presence import Presence, State
from models.searching import (
    GLOBAL_AFTER_S,
    RINGS,
    STEP,
    goes_home,
    visited_place,
)

FRAME = Size(640, 360)
LAST = Box(300, 160, 40, 40)
LOST = Presence(State.LOST)
LONG_LOST = Presence(State.LOST, low_s=GLOBAL_AFTER_S)


def places(presence: Presence = LOST, last: Box = LAST, side: float = 80 / STEP, frame: Size = FRAME) -> Iterator[Box]:
    """What is visited one after the other."""
    while True:
        yield visited_place(last, side, frame, presence)
        presence = replace(presence, visits=presence.visits + 1)


def taken(found: Iterator[Box], count: int) -> list[Box]:
    return [next(found) for _ in range(count)]


def test_every_place_around_the_last_one_is_visited_before_any_twice() -> None:
    # Steps of 80 px: three to the left and the right of x = 320, two up and down of y = 180.
    distinct = (2 * RINGS + 1) * 5 - 1
    found = taken(places(), distinct + 1)
    assert len(set(found[:distinct])) == distinct
    assert LAST not in found
    assert found[distinct] == found[0]
    assert {(place.w, place.h) for place in found} == {(40, 40)}


def test_near_places_come_before_far_ones() -> None:
    found = taken(places(), 4)
    assert [abs(place.cx - LAST.cx) + abs(place.cy - LAST.cy) for place in found] == pytest.approx([80.0] * 4)


def test_a_small_target_is_searched_around_its_last_place_first_and_in_the_whole_frame_later() -> None:
    side = 20 / STEP
    around, everywhere = taken(places(side=side), 400), taken(places(LONG_LOST, side=side), 33 * 19)
    assert max(abs(place.cx - LAST.cx) for place in around) == pytest.approx(RINGS * 20)
    assert len(set(around)) == (2 * RINGS + 1) ** 2 - 1
    assert len(set(everywhere)) == 33 * 19 - 1, "20 px apart, all over 640 x 360"


@pytest.mark.parametrize("presence", [LOST, LONG_LOST])
@pytest.mark.parametrize("last", [Box(-20, -20, 40, 40), Box(0, 0, 40, 40), Box(620, 340, 40, 40)])
def test_no_place_lies_outside_the_frame(presence: Presence, last: Box) -> None:
    for place in taken(places(presence, last), 100):
        assert 0 <= place.cx <= FRAME.w
        assert 0 <= place.cy <= FRAME.h


def test_a_window_larger_than_the_frame_leaves_only_the_last_place() -> None:
    assert next(places(side=4000)) == LAST


def test_the_last_place_is_looked_at_again_and_again() -> None:
    assert [goes_home(replace(LOST, looks=looks)) for looks in range(4)] == [True, False, True, False]
    assert [goes_home(replace(LONG_LOST, looks=looks)) for looks in range(4)] == [True, False, False, False]
