"""Parts of frames: they give what the whole frame gives, and what they lack counts as outside."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.families import FAMILIES
from models.frames import Picture, PixelRect
from models.geometry import Box
from models.package import load_tracker
from models.presence import Presence, State, in_doubt
from models.runtimes.base import ByteArray
from models.runtimes.dummy import DummyRuntime
from models.spec import Family, MemorySpec, ModelSpec
from models.target import Target
from models.tracker import Tracker
from models.variants import VARIANTS
from tests.drawing import Drawing
from tests.jpegs import textured

WIDTH, HEIGHT = 200, 150
FRAME = textured(WIDTH, HEIGHT)
FILL = (11, 22, 33)
SPECS = {spec.family: spec for spec in VARIANTS.values()}
PARTIAL = [family for family in Family if not FAMILIES[family].fills_anew and family in SPECS]


def part_of(frame: ByteArray, part: PixelRect) -> Picture:
    """The pixels of the part that lie in the frame, in an array of their own."""
    height, width = frame.shape[:2]
    inside = part.inside(width, height)
    assert inside is not None
    rows, columns = slice(inside.y, inside.y + inside.height), slice(inside.x, inside.x + inside.width)
    return Picture(frame[rows, columns].copy(), inside.x, inside.y, width, height)


def placed(place: Box, spec: ModelSpec) -> Target:
    return Target(place, place, (), (), Presence(), FILL, spec.crop.search_size)


@pytest.mark.parametrize("family", PARTIAL)
def test_a_part_that_was_scaled_down_gives_nearly_the_crop_of_the_frame(family: Family) -> None:
    spec, rules = SPECS[family], FAMILIES[family]
    smooth = np.asarray(cv2.GaussianBlur(FRAME, (0, 0), 6), np.uint8)
    target = placed(Box(60, 30, 50, 60), spec)
    window = Tracker(spec, DummyRuntime()).next_window(target)
    rows, columns = slice(0, 140), slice(10, 190)
    small = np.asarray(cv2.resize(smooth[rows, columns], (90, 70), interpolation=cv2.INTER_AREA), np.uint8)
    found, expected = np.empty((2, *(spec.crop.search_size,) * 2, 3), rules.crop_type)
    rules.cut(Picture(small, 10, 0, WIDTH, HEIGHT, scaled_from=(180, 140)), window, found, FILL)
    rules.cut(Picture(smooth[rows, columns], 10, 0, WIDTH, HEIGHT), window, expected, FILL)
    off = np.abs(found.astype(float) - expected)
    # At the frame's border alone, where half a pixel of it is mixed with what lies outside, they differ more.
    assert off.mean() < 2
    assert np.median(off) <= 1


@pytest.mark.parametrize("family", PARTIAL)
@settings(max_examples=60, deadline=None)
@given(st.floats(0, WIDTH), st.floats(0, HEIGHT), st.floats(4, 60), st.floats(4, 60), st.integers(0, 40))
def test_the_reach_of_a_target_gives_the_very_crop_of_the_whole_frame(
    family: Family, cx: float, cy: float, w: float, h: float, margin: int
) -> None:
    spec, rules = SPECS[family], FAMILIES[family]
    tracker = Tracker(spec, DummyRuntime())
    target = placed(Box.from_centre(cx, cy, w, h), spec)
    window, reach = tracker.next_window(target), tracker.reach(target)
    wider = PixelRect.around([reach, PixelRect(reach.x - margin, reach.y - 2 * margin, 1, 1)])
    size = spec.crop.search_size
    expected, crops = np.empty((size, size, 3), rules.crop_type), np.empty((2, size, size, 3), rules.crop_type)
    rules.cut(FRAME, window, expected, FILL)
    for part, crop in zip((reach, wider), crops, strict=True):
        rules.cut(part_of(FRAME, part), window, crop, FILL)
        assert np.array_equal(crop, expected)


def test_a_family_that_fills_with_each_frames_colour_needs_whole_frames() -> None:
    spec = SPECS[Family.SIAMRPN_TF]
    tracker = Tracker(spec, DummyRuntime())
    assert tracker.needs_whole(placed(Box(50, 50, 20, 20), spec))


def test_templates_are_renewed_on_whole_frames() -> None:
    drawing = Drawing()
    spec = next(spec for spec in VARIANTS.values() if spec.memory is not None)
    assert isinstance(spec.memory, MemorySpec)
    tracker = Tracker(spec, DummyRuntime())
    target = placed(drawing.box(0), spec)
    target.frames = spec.memory.interval - 2
    assert not tracker.needs_whole(target)
    target.frames += 1
    assert tracker.needs_whole(target)


def test_a_part_shows_what_lies_outside_the_frame() -> None:
    part = Picture(FRAME[:50, :60], 0, 0, WIDTH, HEIGHT)
    assert part.shows(PixelRect(-20, -30, 80, 80))
    assert part.shows(PixelRect(-20, -30, 10, 10))
    assert not part.shows(PixelRect(-20, -30, 81, 80))
    assert not Picture(FRAME[1:], 0, 1, WIDTH, HEIGHT).shows(PixelRect(0, 0, 1, 1))
    assert Picture.of(FRAME).shows(PixelRect(-1000, -1000, 5000, 5000))


def test_a_target_of_which_not_all_was_seen_is_at_best_uncertain() -> None:
    drawing = Drawing()
    tracker = load_tracker("dummy")
    target = tracker.start(drawing.frame(0), drawing.box(0))
    for index in (1, 2):
        assert tracker.follow(target, drawing.frame(index)).state is State.TRACKING
    reach = tracker.reach(target)
    short = PixelRect(reach.x, reach.y, reach.width - 10, reach.height)
    estimate = tracker.follow(target, part_of(drawing.frame(3), short))
    assert estimate.state is State.UNCERTAIN
    assert tracker.follow(target, drawing.frame(4)).state is State.TRACKING


def test_a_lost_target_is_not_found_again_in_a_part_that_lacks_something() -> None:
    lost = Presence(State.LOST, low_s=0.28, high=1, looks=7)
    assert in_doubt(lost, Presence(State.REACQUIRED)) == Presence(State.LOST, low_s=0.28, looks=8)
    after = Presence(State.LOST, low_s=0.32, high=2, looks=8)
    assert in_doubt(lost, after) == Presence(State.LOST, low_s=0.32, looks=8), "it agrees with nothing"
    assert in_doubt(Presence(State.TRACKING), Presence(State.TRACKING)).state is State.UNCERTAIN
