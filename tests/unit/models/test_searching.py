"""Where a lost target is looked for."""

from __future__ import annotations

from models.geometry import Box, Size
from models.searching import lost_search_box

FRAME = Size(640, 360)
LAST = Box(300, 160, 40, 40)


def test_every_second_look_goes_to_the_last_place() -> None:
    assert all(lost_search_box(LAST, 160, FRAME, looks) == LAST for looks in range(0, 20, 2))


def test_the_other_looks_visit_every_place_around_it_before_any_twice() -> None:
    places = [lost_search_box(LAST, 160, FRAME, looks) for looks in range(1, 200, 2)]
    # Steps of 80 px: four to the left and the right of x = 320, two up and down of y = 180.
    distinct = 9 * 5 - 1
    assert len(set(places[:distinct])) == distinct
    assert places[distinct] == places[0]
    assert {(place.w, place.h) for place in places} == {(40, 40)}


def test_near_places_come_before_far_ones() -> None:
    places = [lost_search_box(LAST, 160, FRAME, looks) for looks in range(3, 11, 2)]
    assert {abs(place.cx - LAST.cx) + abs(place.cy - LAST.cy) for place in places[:3]} == {80.0}


def test_no_place_lies_outside_the_frame() -> None:
    corner = Box(0, 0, 40, 40)
    for looks in range(100):
        place = lost_search_box(corner, 160, FRAME, looks)
        assert 0 <= place.cx <= FRAME.w
        assert 0 <= place.cy <= FRAME.h


def test_a_window_larger_than_the_frame_leaves_only_the_last_place() -> None:
    assert lost_search_box(LAST, 4000, FRAME, 7) == LAST
