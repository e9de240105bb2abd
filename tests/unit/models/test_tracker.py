"""The tracking loop, driven by the dummy runtime and by a runtime that answers what the test says."""

from __future__ import annotations

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from models.fading import faded
from models.geometry import Box, Size
from models.package import load_tracker
from models.presence import State
from models.runtimes.dummy import DUMMY_SPEC
from models.spec import MemorySpec, SecondTemplateSpec, SmallTargetSpec
from models.tracker import Tracker
from tests.unit.models.scripted import (
    BOX,
    FRAME,
    MIDDLE,
    SPEC,
    SQUARES,
    ScriptedRuntime,
    drawn_box,
    drawn_frame,
    overlap,
)


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


def test_a_second_template_shows_the_same_with_less_around_the_target() -> None:
    runtime = ScriptedRuntime([*MIDDLE, 60.0, 60.0, 0.9, 1.0])
    tracker = Tracker(replace(SPEC, second_template=SecondTemplateSpec(background=0.0, agreement=0.5)), runtime)
    frame = FRAME.copy()
    frame[80:130, 100:150] = 200
    frame[:, 160:] = 0
    target = tracker.start(frame, BOX)
    (plain,) = target.crops
    assert target.shape == pytest.approx(Size(56, 56))
    tracker.follow(target, frame)
    (features,) = runtime.features[-1]
    second = faded(plain, Size(56.0, 56.0), 0.0)
    np.testing.assert_allclose(features, [plain.mean((0, 1)), second.mean((0, 1))], rtol=1e-6)


def test_a_step_without_targets_is_empty() -> None:
    assert load_tracker("dummy").step([]) == []


def test_frames_may_change_their_size() -> None:
    tracker = load_tracker("dummy")
    target = tracker.start(drawn_frame(0), drawn_box(1, 0))
    box = tracker.follow(target, np.zeros((30, 40, 3), np.uint8)).box
    assert 0 <= box.cx <= 40 or box == drawn_box(1, 0)
