"""Guesses where a lost target is, and who follows them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.crops import context_side
from models.frames import Picture
from models.geometry import Box
from models.package import load_tracker
from models.presence import Presence, State
from models.runtimes.base import ByteArray
from models.scanning import GUESSES, NO_GUESSES, REMEMBERED, SCAN_EVERY, Guesses, Point, guessed, pattern_of, scan_due
from models.searching import GLOBAL_AFTER_S, follows_guess

BOX = Box(100, 60, 40, 30)
LONG_LOST = Presence(State.LOST, low_s=GLOBAL_AFTER_S)


def scene(*places: tuple[int, int]) -> ByteArray:
    """Noise, with the same stripes at each of the places (left, top)."""
    rng = np.random.default_rng(1)
    frame = rng.integers(90, 110, (360, 640, 3), np.uint8)
    for left, top in places:
        frame[top : top + 30, left : left + 40] = 40
        frame[top : top + 30, left : left + 40 : 8] = (30, 220, 60)
        frame[top + 15 : top + 30, left : left + 40] //= 2
    return frame


def pattern() -> ByteArray:
    frame, side = scene((100, 60)), context_side(BOX.size, 0.5)
    left, top = round(BOX.cx - side / 2), round(BOX.cy - side / 2)
    return pattern_of(frame[top : top + round(side), left : left + round(side)], BOX, side)


def test_the_pattern_is_the_target_without_its_surroundings() -> None:
    np.testing.assert_array_equal(pattern(), scene((100, 60))[60:90, 100:140])


def test_the_place_that_looks_like_the_target_is_guessed_first() -> None:
    guesses = guessed(scene((500, 200)), pattern(), BOX, ())
    assert len(guesses.places) == GUESSES
    assert guesses.places[0] == pytest.approx((520, 215), abs=4)


def test_a_place_that_was_tried_is_not_guessed_again() -> None:
    first = guessed(scene((500, 200), (50, 300)), pattern(), BOX, ())
    tried, rest = first.next()
    assert rest == Guesses(first.places[1:], (tried,))
    again = guessed(scene((500, 200), (50, 300)), pattern(), BOX, (tried,))
    assert again.places[0] == pytest.approx(first.places[1])
    assert all(abs(place.x - tried.x) > 15 or abs(place.y - tried.y) > 10 for place in again.places)


def test_no_more_places_are_remembered_than_that() -> None:
    guesses = Guesses(tuple(Point(float(x), 0.0) for x in range(REMEMBERED + 3)))
    while guesses.places:
        _, guesses = guesses.next()
    assert [point.x for point in guesses.tried] == list(range(3, REMEMBERED + 3))


def test_targets_larger_than_the_frame_and_frames_of_one_colour_give_no_trouble() -> None:
    assert guessed(scene(), pattern(), Box(-300, -300, 1200, 900), ()).tried == ()
    flat = np.full((360, 640, 3), 7, np.uint8)
    assert len(guessed(flat, pattern(), BOX, ()).places) <= GUESSES


def test_frames_are_scanned_as_wholes_now_and_then_once_the_search_is_global() -> None:
    due = [scan_due(replace(LONG_LOST, looks=looks)) for looks in range(2 * SCAN_EVERY)]
    assert [looks for looks, is_due in enumerate(due) if is_due] == [0, SCAN_EVERY]
    assert not scan_due(Presence(State.LOST))
    followed = [looks for looks in range(SCAN_EVERY) if follows_guess(replace(LONG_LOST, looks=looks))]
    assert len(followed) == GUESSES


def test_a_target_that_comes_back_far_away_is_found_by_the_next_scan() -> None:
    tracker = load_tracker("dummy")
    empty = np.random.default_rng(6).integers(0, 50, (1080, 1920, 3), np.uint8)
    near, far = empty.copy(), empty.copy()
    near[30:70, 100:140] = far[900:940, 1700:1740] = (20, 80, 250)
    target = tracker.start(near, Box(100, 30, 40, 40))
    while not scan_due(target.presence):
        tracker.follow(target, empty)
    assert tracker.needs_whole(target)
    found = [tracker.follow(target, far) for _ in range(SCAN_EVERY + 2 * tracker.spec.presence.reacquire_after)]
    back = next(estimate for estimate in found if estimate.state is State.REACQUIRED)
    assert back.box.xywh() == pytest.approx((1700, 900, 40, 40), abs=4)
    assert target.guesses is NO_GUESSES


def test_a_part_of_the_frame_is_not_scanned() -> None:
    tracker = load_tracker("dummy")
    target = tracker.start(scene((100, 60)), BOX)
    target.presence = LONG_LOST
    part = scene()[:200, :300]
    tracker.follow(target, Picture(np.ascontiguousarray(part), 0, 0, 640, 360))
    assert target.guesses == NO_GUESSES
