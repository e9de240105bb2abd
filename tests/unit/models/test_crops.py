"""Windows and crops: mapping there and back, and the same pixels as cutting from a frame padded all round."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.crops import MIN_SIDE, Window, context_side, cut, mean_colour
from models.geometry import Box, Size
from models.runtimes.base import ByteArray

FILL = (10, 20, 30)
windows = st.builds(Window, st.integers(-400, 400), st.integers(-400, 400), st.integers(MIN_SIDE, 700))


def smooth_frame(height: int = 120, width: int = 160, seed: int = 0) -> ByteArray:
    """A picture with structure on the scale of a few pixels."""
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def crop_of(frame: ByteArray, window: Window, size: int = 64) -> ByteArray:
    out = np.full((size, size, 3), 77, np.uint8)
    cut(frame, window, out, FILL)
    return out


def reference(frame: ByteArray, window: Window, size: int = 64) -> ByteArray:
    """Pads the whole frame, as slow and as plain as it can be."""
    margin = 1200
    edges = (margin, margin, margin, margin)
    padded = cv2.copyMakeBorder(frame, *edges, cv2.BORDER_CONSTANT, value=FILL)
    x, y = window.x + margin, window.y + margin
    square = padded[y : y + window.side, x : x + window.side]
    return np.asarray(cv2.resize(square, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)


@pytest.mark.parametrize(
    ("size", "amount", "side"),
    [(Size(50, 50), 0.5, 100.0), (Size(40, 20), 0.5, math.sqrt(70 * 50)), (Size(30, 30), 0.0, 30.0)],
)
def test_the_context_square_by_hand(size: Size, amount: float, side: float) -> None:
    assert context_side(size, amount) == pytest.approx(side)


@given(windows, st.floats(-50, 300), st.floats(-50, 300), st.floats(1, 200), st.floats(1, 200))
def test_a_box_goes_to_the_crop_and_back(window: Window, x: float, y: float, w: float, h: float) -> None:
    box = Box(x, y, w, h)
    again = window.to_frame(window.to_crop(box, 224), 224)
    assert again.xywh() == pytest.approx(box.xywh(), abs=1e-6)


def test_the_crop_edges_are_the_window_edges() -> None:
    window = Window(-7, 13, 90)
    assert window.to_frame(Box(0, 0, 224, 224), 224).xywh() == pytest.approx((-7, 13, 90, 90))


@given(st.floats(-100, 2000), st.floats(-100, 2000), st.floats(0, 3000))
def test_a_window_around_a_point_is_at_most_half_a_pixel_off(cx: float, cy: float, side: float) -> None:
    window = Window.around(cx, cy, side)
    assert abs(window.x + window.side / 2 - cx) <= 0.5 + 1e-6
    assert abs(window.y + window.side / 2 - cy) <= 0.5 + 1e-6
    assert window.side >= MIN_SIDE
    assert abs(window.side - max(side, MIN_SIDE)) <= 0.5


@given(st.integers(0, 2000), st.integers(-300, 300), st.floats(8, 500))
def test_a_window_moves_with_its_point(halves: int, by: int, side: float) -> None:
    first, second = Window.around(halves / 2, 50, side), Window.around(halves / 2 + by, 50, side)
    assert second.x - first.x == by


def test_a_window_of_the_output_size_is_copied_as_it_is() -> None:
    frame = smooth_frame()
    np.testing.assert_array_equal(crop_of(frame, Window(20, 30, 64)), frame[30:94, 20:84])


@settings(max_examples=60, deadline=None)
@given(windows)
def test_a_crop_equals_one_from_a_frame_padded_all_round(window: Window) -> None:
    frame = smooth_frame()
    np.testing.assert_array_equal(crop_of(frame, window), reference(frame, window))


@pytest.mark.parametrize("window", [Window(-500, 0, 100), Window(160, 0, 50), Window(0, 120, 9), Window(0, -20, 20)])
def test_a_window_outside_the_frame_is_all_fill(window: Window) -> None:
    assert (crop_of(smooth_frame(), window) == FILL).all()


def test_a_window_of_millions_of_pixels_costs_no_memory_of_that_size() -> None:
    # Padding this window would take 12 GB.
    crop = crop_of(smooth_frame(), Window(-32000, -32000, 64000))
    assert (crop == FILL).mean() > 0.99


def test_the_frame_stays_as_it_is_and_may_be_read_only_or_a_view() -> None:
    frame = smooth_frame()
    before = frame.copy()
    frame.flags.writeable = False
    for window in (Window(-5, 10, 90), Window(10, 10, 50), Window(-400, -400, 1000)):
        crop = crop_of(frame, window)
        mirrored = np.ascontiguousarray(frame[:, ::-1])[:, ::-1]
        np.testing.assert_array_equal(crop, crop_of(mirrored, window))
    np.testing.assert_array_equal(frame, before)


def test_a_crop_lands_in_its_own_row_of_a_batch() -> None:
    crops = np.zeros((3, 32, 32, 3), np.uint8)
    cut(smooth_frame(), Window(-10, -10, 70), crops[1], FILL)
    assert crops[1].any()
    assert not crops[0].any()
    assert not crops[2].any()


def test_the_mean_colour_is_rounded_down() -> None:
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[0, 0] = (3, 255, 7)
    assert mean_colour(frame) == (0, 63, 1)
