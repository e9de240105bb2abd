"""The tracking loop, driven by the dummy runtime and by a runtime that answers what the test says."""

from __future__ import annotations

import copy
import itertools
import math
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import cv2
import numpy as np
import pytest

from models.frames import Picture
from models.geometry import Box, intersection_over_union
from models.package import load_tracker
from models.presence import Presence, State
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.dummy import DUMMY_SPEC
from models.searching import Search
from models.spec import LongTermSpec, LoopSpec, LostSearch, MemorySpec, PresenceSpec, SmallTargetSpec
from models.target import Target, TargetInvalid
from models.tracker import Tracker

SQUARES = (
    (100, 30, 4.0, 0.25, (40, 200, 250)),
    (500, 290, -3.0, -0.5, (250, 80, 20)),
    (60, 150, 2.0, 0.5, (20, 250, 60)),
)
"""x, y, dx, dy, colour; their ways do not cross."""


def drawn_frame(index: int) -> ByteArray:
    """Three squares of 48 px that move on quiet noise, 640 x 360."""
    frame = np.random.default_rng(5).integers(0, 50, (360, 640, 3), dtype=np.uint8)
    for which, (*_, colour) in enumerate(SQUARES):
        box = drawn_box(which, index)
        cv2.rectangle(frame, (int(box.x), int(box.y)), (int(box.x) + 47, int(box.y) + 47), colour, -1)
    return frame


def drawn_box(which: int, index: int) -> Box:
    x, y, dx, dy, _ = SQUARES[which]
    return Box(float(int(x + dx * index)), float(int(y + dy * index)), 48.0, 48.0)


def overlap(a: Box, b: Box) -> float:
    return float(intersection_over_union(np.array(a.xywh()), np.array(b.xywh())))


class ScriptedRuntime:
    """Answers every target of a call with the same numbers, and keeps what it was asked."""

    name = "scripted"
    device = "cpu"

    def __init__(self, best: Sequence[float], peak2: tuple[float, float] = (0.25, 30.0)) -> None:
        """best: cx, cy, w, h, score, penalty; the ranking is the score, the index 7."""
        self.best = [*best, best[4], 7.0]
        self.peak2 = peak2
        self.sizes: list[FloatArray] = []
        self.loops: list[FloatArray] = []
        self.crop_sizes: list[int] = []
        self.features: list[Features] = []

    def template(self, crops: ByteArray) -> list[Features]:
        return [(crop.mean(axis=(0, 1)).astype(np.float32),) for crop in crops]

    def joined(self, templates: Sequence[Features]) -> Features:
        return (np.stack([template[0] for template in templates]),)

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        self.sizes.append(size)
        self.crop_sizes.append(crops.shape[1])
        self.features += features
        self.loops.append(loop)
        rows = len(crops)
        return Best(
            np.tile(np.array(self.best, np.float32), (rows, 1)), np.tile(np.array(self.peak2, np.float32), (rows, 1))
        )


SPEC = replace(
    DUMMY_SPEC,
    loop=LoopSpec(penalty_k=0.1, window_influence=0.3, size_lr=0.5, min_size=4.0),
    presence=PresenceSpec(
        lost=0.4,
        fallen=0.0,
        leave=0.4,
        enter=0.6,
        reacquire=0.8,
        lost_after_s=0.08,
        reacquire_after=1,
        search=LostSearch.AROUND,
    ),
)
STAYING = replace(SPEC, presence=replace(SPEC.presence, search=LostSearch.STAY))
MIDDLE = (112.0, 112.0)
FRAME = np.full((240, 320, 3), 90, np.uint8)
BOX = Box(100, 80, 50, 50)  # its search window is 200 px wide, so a crop pixel is 200 / 224 frame pixels


@pytest.mark.parametrize("which", range(len(SQUARES)))
def test_the_dummy_follows_a_moving_square(which: int) -> None:
    tracker = load_tracker("dummy")
    target = tracker.start(drawn_frame(0), drawn_box(which, 0))
    for index in range(1, 61):
        estimate = tracker.follow(target, drawn_frame(index))
    assert overlap(estimate.box, drawn_box(which, 60)) > 0.7
    assert estimate.state is State.TRACKING
    assert target.frames == 60


def test_a_target_that_disappears_is_lost_and_found_again_where_it_was() -> None:
    tracker = load_tracker("dummy")
    frame = drawn_frame(0)
    empty = np.random.default_rng(6).integers(0, 50, frame.shape, dtype=np.uint8)
    target = tracker.start(frame, drawn_box(0, 0))
    seen = [tracker.follow(target, frame).state for _ in range(2)]
    unseen = [tracker.follow(target, empty) for _ in range(20)]
    # The first look may have gone beside the last place.
    again = [tracker.follow(target, frame) for _ in range(DUMMY_SPEC.presence.reacquire_after + 2)]
    assert seen == [State.TRACKING] * 2
    assert unseen[0].state is State.UNCERTAIN
    assert [estimate.state for estimate in unseen[-6:]] == [State.LOST] * 6
    assert len({estimate.box for estimate in unseen[-6:]}) == 1
    assert [estimate.state for estimate in again].count(State.REACQUIRED) == 1
    assert again[-1].state is State.TRACKING
    assert overlap(again[-1].box, drawn_box(0, 0)) > 0.7


def test_a_batch_gives_what_its_members_give_alone() -> None:
    tracker = load_tracker("dummy")
    together = [tracker.start(drawn_frame(0), drawn_box(which, 0)) for which in range(3)]
    alone = copy.deepcopy(together)
    for index in range(1, 20):
        # One target lags two frames behind, so that a batch holds different frames too.
        frames = [drawn_frame(index), drawn_frame(max(index - 2, 0)), drawn_frame(index)]
        batch = tracker.step(list(zip(together, frames, strict=True)))
        single = [tracker.follow(target, frame) for target, frame in zip(alone, frames, strict=True)]
        assert batch == single


def test_threads_share_a_tracker() -> None:
    tracker = load_tracker("dummy")

    def followed(which: int) -> list[Box]:
        target = tracker.start(drawn_frame(0), drawn_box(which, 0))
        return [tracker.follow(target, drawn_frame(index)).box for index in range(1, 15)]

    with ThreadPoolExecutor(3) as pool:
        at_once = list(pool.map(followed, range(3)))
    assert at_once == [followed(which) for which in range(3)]


def test_a_target_is_plain_data_that_goes_on_elsewhere() -> None:
    tracker = load_tracker("dummy")
    target = tracker.start(drawn_frame(0), drawn_box(0, 0))
    tracker.follow(target, drawn_frame(1))
    moved = pickle.loads(pickle.dumps(target))
    assert load_tracker("dummy").follow(moved, drawn_frame(2)) == tracker.follow(target, drawn_frame(2))


def test_the_graphs_numbers_become_a_box_in_the_frame() -> None:
    runtime = ScriptedRuntime([112 + 22.4, 112, 112, 56, 0.8, 0.5])
    tracker = Tracker(SPEC, runtime)
    target = tracker.start(FRAME, BOX)
    window = tracker.next_window(target)
    estimate = tracker.follow(target, FRAME)
    # 22.4 crop pixels are 20 frame pixels; the size goes 0.5 * 0.8 * 0.5 = 0.2 of the way from 50 to 100.
    assert (estimate.box.cx, estimate.box.cy) == pytest.approx((145, 105))
    assert estimate.box.size == pytest.approx((60, 50))
    assert estimate.window == window
    assert (estimate.score, estimate.peak2) == pytest.approx((0.8, 0.25))
    assert target.box == estimate.box
    np.testing.assert_allclose(runtime.sizes[0], [[56, 56]])
    np.testing.assert_allclose(runtime.loops[0], [[0.1, 0.3, 0.5]])


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
    tracker.runtime.best[4] = 0.7
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


def test_targets_searched_in_crops_of_different_sizes_give_in_a_batch_what_they_give_alone() -> None:
    spec = replace(SPEC, small_target=SmallTargetSpec(search_size=288, area_share=0.02))
    runtime = ScriptedRuntime([122, 118, 60, 50, 0.8, 0.9])
    tracker = Tracker(spec, runtime)
    boxes = [Box(100, 80, 50, 50), Box(200, 100, 20, 30), Box(40, 60, 60, 40)]
    together = [tracker.start(FRAME, box) for box in boxes]
    alone = copy.deepcopy(together)
    estimates = tracker.step([(target, FRAME) for target in together])
    assert runtime.crop_sizes == [224, 288]
    assert estimates == [tracker.follow(target, FRAME) for target in alone]


def test_a_tracker_with_a_memory_replaces_the_oldest_template_but_the_first_every_few_frames() -> None:
    runtime = ScriptedRuntime([*MIDDLE, 60.0, 60.0, 0.9, 1.0])
    tracker = Tracker(replace(SPEC, memory=MemorySpec(length=3, interval=2, share=0.5)), runtime)
    frames = [np.full((240, 320, 3), level, np.uint8) for level in range(10, 90, 10)]
    target = tracker.start(frames[0], BOX)
    for frame in frames[1:]:
        tracker.follow(target, frame)
    levels = [features[0][:, 0].tolist() for features in runtime.features]
    assert levels == [[10, 10, 10]] * 2 + [[10, 10, 30]] * 2 + [[10, 30, 50]] * 2 + [[10, 50, 70]]


@pytest.mark.parametrize("place", range(6))
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_numbers_that_are_not_finite_keep_the_box_and_count_as_unseen(place: int, wrong: float) -> None:
    best = [*MIDDLE, 60.0, 60.0, 0.9, 1.0]
    best[place] = wrong
    tracker = Tracker(SPEC, ScriptedRuntime(best, peak2=(math.nan, 0.0)))
    target = tracker.start(FRAME, BOX)
    first, second = tracker.follow(target, FRAME), tracker.follow(target, FRAME)
    assert first.box == second.box == BOX
    assert (first.score, first.peak2) == (0.0, 0.0)
    assert (first.state, second.state) == (State.UNCERTAIN, State.LOST)


@pytest.mark.parametrize("best", [[-5e3, 9e3, 1e6, 1e6], [9e3, -5e3, 0.0, 0.0], [112, 112, -50, 3]])
def test_wild_boxes_stay_within_the_frame_and_above_the_smallest_size(best: list[float]) -> None:
    tracker = Tracker(SPEC, ScriptedRuntime([*best, 0.9, 1.0]))
    target = tracker.start(FRAME, BOX)
    for _ in range(40):
        box = tracker.follow(target, FRAME).box
        assert 0 <= box.cx <= 320
        assert 0 <= box.cy <= 240
        assert 4 <= box.w <= 320
        assert 4 <= box.h <= 240


@pytest.mark.parametrize(
    ("box", "field", "code", "words"),
    [
        (Box(math.nan, 10, 20, 20), "x", "not_finite", "nan"),
        (Box(10, 10, 20, math.inf), "h", "not_finite", "inf"),
        (Box(10, 10, 0, 20), "w", "too_small", "at least 4 px"),
        (Box(10, 10, 20, 3.9), "h", "too_small", "3.9 px"),
        (Box(10, 10, -20, 20), "w", "too_small", "-20 px"),
        (Box(-300, 0, 641, 20), "w", "too_large", "640 px"),
        (Box(0, -200, 20, 481), "h", "too_large", "480 px"),
        (Box(311, 10, 20, 20), "x", "outside", "321 px"),
        (Box(10, -11, 20, 20), "y", "outside", "-1 px"),
    ],
)
def test_a_box_that_breaks_a_rule_is_refused_with_field_value_and_limit(
    box: Box, field: str, code: str, words: str
) -> None:
    with pytest.raises(TargetInvalid) as refused:
        load_tracker("dummy").start(FRAME, box)
    assert (refused.value.field, refused.value.code) == (field, code)
    assert words in str(refused.value)


@pytest.mark.parametrize("box", [Box(0, 0, 640, 480), Box(-10, -10, 20, 20), Box(310, 230, 20, 20), Box(5, 5, 4, 4)])
def test_a_box_at_the_limits_is_followed(box: Box) -> None:
    tracker = load_tracker("dummy")
    estimate = tracker.follow(tracker.start(FRAME, box), FRAME)
    assert estimate.box.is_finite()


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((240, 320), np.uint8),
        np.zeros((240, 320, 4), np.uint8),
        np.zeros((240, 320, 3), np.float32),
        np.zeros((0, 320, 3), np.uint8),
    ],
)
def test_what_is_no_frame_is_refused_and_changes_no_target(frame: ByteArray) -> None:
    tracker = load_tracker("dummy")
    targets = [tracker.start(drawn_frame(0), drawn_box(which, 0)) for which in range(2)]
    before = copy.deepcopy(targets)
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        tracker.start(frame, BOX)
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        tracker.step([(targets[0], drawn_frame(1)), (targets[1], frame)])
    assert [target.box for target in targets] == [target.box for target in before]
    assert [target.frames for target in targets] == [0, 0]


def test_the_same_target_twice_in_a_step_is_refused() -> None:
    tracker = load_tracker("dummy")
    target = tracker.start(FRAME, BOX)
    with pytest.raises(ValueError, match="twice"):
        tracker.step([(target, FRAME), (target, FRAME)])
    assert target.frames == 0


def test_a_step_without_targets_is_empty() -> None:
    assert load_tracker("dummy").step([]) == []


def test_frames_may_change_their_size() -> None:
    tracker = load_tracker("dummy")
    target = tracker.start(drawn_frame(0), drawn_box(1, 0))
    box = tracker.follow(target, np.zeros((30, 40, 3), np.uint8)).box
    assert 0 <= box.cx <= 40 or box == drawn_box(1, 0)
