"""What the tracking loop does with a target that it has lost."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np

from models.frames import Picture
from models.geometry import Box
from models.package import load_tracker
from models.presence import Presence, State
from models.searching import Search
from models.spec import LongTermSpec, LostSearch
from models.target import Target
from models.tracker import Tracker
from tests.unit.models.scripted import BOX, FRAME, SPEC, ScriptedRuntime, drawn_frame, overlap

STAYING = replace(SPEC, presence=replace(SPEC.presence, search=LostSearch.STAY))


def test_the_box_of_a_lost_target_stays_and_a_good_candidate_is_searched_at_the_last_size() -> None:
    tracker = Tracker(SPEC, ScriptedRuntime([122, 112, 30, 30, 0.1, 1.0]))
    target = tracker.start(FRAME, BOX)
    doubtful = tracker.follow(target, FRAME)
    lost = tracker.follow(target, FRAME)
    assert doubtful.state is State.UNCERTAIN
    assert doubtful.box.cx > BOX.cx + 5
    assert lost.state is State.LOST
    assert lost.box == target.box == doubtful.box
    tracker.runtime = ScriptedRuntime([132, 112, 30, 30, 0.7, 1.0])
    candidate = tracker.follow(target, FRAME)
    assert candidate.state is State.LOST
    assert candidate.box == lost.box
    assert target.place.cx > candidate.window.x + candidate.window.side / 2 + 5
    assert target.place.size == lost.box.size
    tracker.runtime = ScriptedRuntime([112, 112, 30, 30, 0.9, 1.0])
    found = tracker.follow(target, FRAME)
    assert found.state is State.REACQUIRED
    assert found.box.cx > lost.box.cx + 5


def test_without_a_candidate_the_search_goes_round_the_last_place() -> None:
    tracker = Tracker(SPEC, ScriptedRuntime([112, 112, 30, 30, 0.1, 1.0]))
    frame = np.full((480, 640, 3), 90, np.uint8)
    target = tracker.start(frame, BOX)
    for _ in range(2):
        tracker.follow(target, frame)
    places = []
    for _ in range(8):
        places.append(target.place)
        tracker.follow(target, frame)
    assert [place == target.box for place in places] == [True, False] * 4
    assert len({(place.cx, place.cy) for place in places}) == 5


def test_a_target_that_comes_back_elsewhere_in_the_frame_is_found_by_the_global_search() -> None:
    tracker = load_tracker("dummy")
    frame, far = drawn_frame(0), np.random.default_rng(6).integers(0, 50, (1080, 1920, 3), dtype=np.uint8)
    far[900:948, 1700:1748] = frame[30:78, 100:148]
    near = far.copy()
    near[900:948, 1700:1748] = far[800:848, 1700:1748]
    near[30:78, 100:148] = frame[30:78, 100:148]
    target = tracker.start(near, Box(100, 30, 48, 48))
    assert tracker.follow(target, near).search is Search.LOCAL
    searches = [tracker.follow(target, far).search for _ in range(70)]
    assert list(dict.fromkeys(searches)) == [Search.LOCAL, Search.WIDE, Search.GLOBAL]
    found = next(each for each in (tracker.follow(target, far) for _ in range(900)) if each.state is State.REACQUIRED)
    assert overlap(found.box, Box(1700, 900, 48, 48)) > 0.7


def long_lost(runtime: ScriptedRuntime) -> tuple[Tracker, Target]:
    """A target that was lost long ago."""
    tracker = Tracker(SPEC, runtime)
    target = tracker.start(FRAME, BOX)
    target.presence = Presence(State.LOST, low_s=60.0, looks=4)
    return tracker, target


def test_times_of_the_frames_decide_when_a_target_is_lost() -> None:
    tracker = Tracker(replace(SPEC, presence=replace(SPEC.presence, lost_after_s=0.5)), ScriptedRuntime([0.1] * 6))
    slow, fast = tracker.start(FRAME, BOX), tracker.start(FRAME, BOX)
    found = [
        tracker.step([(slow, Picture.of(FRAME, index / 10)), (fast, Picture.of(FRAME, index / 100))])
        for index in range(20)
    ]
    states = [[estimate.state for estimate in target] for target in zip(*found, strict=True)]
    assert [each.index(State.LOST) if State.LOST in each else None for each in states] == [5, None]


def test_something_a_little_like_the_target_is_looked_at_more_closely_once() -> None:
    tracker, target = long_lost(ScriptedRuntime([132, 112, 30, 30, 0.7, 1.0]))
    places = []
    for _ in range(4):
        tracker.follow(target, FRAME)
        places.append((target.presence.closer, target.place.size == target.box.size))
    assert [closer for closer, _ in places] == [True, False, True, False]
    assert all(same_size for _, same_size in places)


def test_a_search_that_stays_follows_the_network_while_lost_as_the_published_loops_do() -> None:
    tracker = Tracker(STAYING, ScriptedRuntime([122, 112, 56, 56, 0.1, 1.0]))
    target = tracker.start(FRAME, BOX)
    boxes = [tracker.follow(target, FRAME) for _ in range(4)]
    assert boxes[-1].state is State.LOST
    assert [later.box.cx > earlier.box.cx + 5 for earlier, later in itertools.pairwise(boxes)] == [True] * 3
    assert target.place == target.box


LONG_TERM = LongTermSpec(
    search_size=320, hold=0.3, found=0.6, window_influence=0.01, judges_ranking=False, free_place=False
)


def test_a_long_term_tracker_holds_its_place_looks_wider_while_lost_and_comes_back_above_the_higher_score() -> None:
    runtime = ScriptedRuntime([122, 112, 56, 56, 0.2, 1.0])
    tracker = Tracker(replace(STAYING, long_term=LONG_TERM), runtime)
    target = tracker.start(FRAME, BOX)
    lost = tracker.follow(target, FRAME)
    assert (lost.state, lost.box) == (State.LOST, BOX)
    usual, wide = lost.window, tracker.next_window(target)
    assert wide.side == round(usual.side * 320 / 224)
    tracker.runtime = runtime = ScriptedRuntime([170, 160, 56, 56, 0.5, 1.0])
    between = tracker.follow(target, FRAME)
    assert between.state is State.LOST
    assert between.box.cx > BOX.cx + 5
    runtime.best[4] = 0.7
    assert tracker.follow(target, FRAME).state is State.REACQUIRED
    assert runtime.crop_sizes == [320, 320]
    np.testing.assert_allclose(runtime.loops[0], [[0.1, 0.01, 0.5]])
    tracker.follow(target, FRAME)
    assert runtime.crop_sizes[-1] == 224


def test_a_free_place_leaves_the_frame_and_the_reported_box_does_not() -> None:
    spec = replace(STAYING, long_term=replace(LONG_TERM, free_place=True))
    tracker = Tracker(spec, ScriptedRuntime([212, 112, 56, 56, 0.9, 1.0]))
    target = tracker.start(FRAME, BOX)
    for _ in range(4):
        estimate = tracker.follow(target, FRAME)
    assert estimate.box.cx == 320
    assert target.place.cx > 400
