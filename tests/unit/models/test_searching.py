"""Where a lost target is looked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.geometry import Box, Size
from models.presence import Presence, State
from models.searching import (
    GLOBAL_AFTER_S,
    MOST_PLACES,
    RINGS,
    STEP,
    _offsets,
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


@given(*[st.integers(0, 7)] * 4)
def test_places_are_in_order_of_distance_then_from_left_to_right_and_top_to_bottom(
    left: int, right: int, up: int, down: int
) -> None:
    every = [(column, row) for column in range(-left, right + 1) for row in range(-up, down + 1) if column or row]
    ordered = sorted(every, key=lambda place: (place[0] ** 2 + place[1] ** 2, place))
    assert [tuple(place) for place in _offsets(left, right, up, down).tolist()] == ordered


def test_all_places_of_a_tiny_target_in_a_large_frame_fit_into_little_memory() -> None:
    frame, last = Size(3840, 2160), Box(1918, 1078, 4, 4)
    found = taken(places(LONG_LOST, last, 16, frame), 500)
    assert len(set(found)) == 500
    kept = _offsets.cache_info().maxsize
    assert kept is not None
    assert kept * _offsets(160, 160, 90, 90).nbytes < 10_000_000


@pytest.mark.parametrize("frame", [Size(7680, 4320), Size(65_535, 40)])
def test_places_lie_farther_apart_where_there_would_be_too_many(frame: Size) -> None:
    _offsets.cache_clear()
    last = Box(frame.w / 2, frame.h / 2, 1, 1)
    step = abs(next(places(LONG_LOST, last, 1, frame)).x - last.x)
    assert step == pytest.approx(math.sqrt(frame.w * frame.h / MOST_PLACES))
    assert next(places(LOST, last, 1, frame)).x == pytest.approx(last.x - STEP)


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
