"""Which part of a frame the client sends: only what the server asked for, and only while that holds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lockon_client.images import encoded
from lockon_client.messages import NextWindow
from lockon_client.protocol import encode_frame
from lockon_client.windows import LARGEST_SHARE, SPARE_SCALE, Placement, Windows, image_size
from numpy.typing import NDArray

from models.crops import Window, cut
from models.frames import Picture
from service.engine.decoding import HostDecoder
from service.protocol.header import read_frame

FRAME = np.zeros((240, 320, 3), np.uint8)
ASKED = NextWindow(full=False, window=(16, 32, 64, 48))
PLACED = Placement(16, 32, 64, 48, 320, 240, 64, 48)
SIDES = st.integers(16, 2000)
SCALES = st.floats(0.02, 1.0)


@pytest.fixture
def windows() -> Windows:
    """One frame was sent whole, and the server has said what comes next."""
    windows = Windows(wanted=True)
    assert windows.placement(FRAME, starting=False) is None, "nothing was said yet"
    windows.sent(1, FRAME, None, 1000)
    windows.learn(1, ASKED)
    return windows


def test_what_the_server_will_look_at_is_sent_and_its_saving_counted(windows: Windows) -> None:
    placement = windows.placement(FRAME, starting=False)
    assert placement == PLACED
    assert placement.cut(FRAME).shape == (48, 64, 3)
    windows.sent(2, FRAME, placement, 150)
    assert windows.saved_bytes == 850


def test_whole_frames_are_sent_unless_windows_are_wanted() -> None:
    windows = Windows(wanted=False)
    windows.sent(1, FRAME, None, 1000)
    windows.learn(1, ASKED)
    assert windows.placement(FRAME, starting=False) is None


def test_whole_frames_are_sent_when_the_server_asks_or_a_target_waits(windows: Windows) -> None:
    assert windows.placement(FRAME, starting=True) is None
    windows.learn(2, NextWindow(full=True, window=(16, 32, 64, 48)))
    assert windows.placement(FRAME, starting=False) is None
    windows.learn(3, None)
    assert windows.placement(FRAME, starting=False) is None


def test_compressed_images_are_sent_as_they_are(windows: Windows) -> None:
    assert windows.placement(b"\xff\xd8\xff", starting=False) is None


def test_what_was_said_of_frames_of_another_size_holds_no_more(windows: Windows) -> None:
    small = FRAME[:100, :100]
    assert windows.placement(small, starting=False) is None
    windows.sent(2, small, None, 300)
    assert windows.placement(small, starting=False) is None
    windows.learn(1, ASKED)
    assert windows.placement(small, starting=False) is None, "frame 1 was a large one"
    windows.learn(2, ASKED)
    assert windows.placement(small, starting=False) == Placement(16, 32, 64, 48, 100, 100, 64, 48)


def test_a_window_of_many_more_pixels_than_the_network_takes_is_scaled_down(windows: Windows) -> None:
    windows.learn(2, replace(ASKED, max_scale=0.4))
    placement = windows.placement(FRAME, starting=False)
    assert placement == PLACED._replace(image_width=32, image_height=24)
    assert placement.scaled
    windows.learn(3, replace(ASKED, max_scale=0.75))
    assert windows.placement(FRAME, starting=False) == PLACED, "too little would be saved"


@given(SIDES, SIDES, SCALES)
def test_images_of_windows_keep_what_the_network_takes_and_never_grow(width: int, height: int, scale: float) -> None:
    image_width, image_height = image_size(width, height, scale)
    assert 1 <= image_width <= width
    assert 1 <= image_height <= height
    assert image_width >= min(width, width * scale * SPARE_SCALE)
    assert (image_width, image_height) == (
        width,
        height,
    ) or image_width * image_height <= LARGEST_SHARE * width * height


@given(SIDES, SIDES, SCALES)
def test_the_server_takes_every_image_of_a_window(width: int, height: int, scale: float) -> None:
    size = image_size(width, height, scale)
    placement = Placement(16, 32, width, height, width + 16, height + 32, *size)
    file = encoded(np.zeros(size[::-1], np.uint8))
    frame = read_frame(encode_frame(file, 1, None, must_process=True, placement=placement), -1, 2**26, 0.0)
    picture = HostDecoder().decode_all(frame)
    assert (picture.x, picture.y, picture.width, picture.height) == (16, 32, width, height)
    assert (frame.width, frame.height) == (width + 16, height + 32)


@cache
def ramps(width: int, height: int) -> NDArray[np.float32]:
    """Every pixel says where it is: its x, its y, 0."""
    across, down = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.stack([across, down, np.zeros_like(across)], axis=2)


@settings(max_examples=50, deadline=None)
@given(
    st.tuples(st.integers(0, 400), st.integers(0, 300)),
    st.tuples(st.integers(200, 400), st.integers(200, 400)),
    st.floats(0.1, 0.6),
    st.tuples(st.floats(0.1, 0.4), st.floats(0.1, 0.4)),
)
def test_a_crop_of_a_scaled_window_shows_the_places_of_the_frame(
    corner: tuple[int, int], size: tuple[int, int], max_scale: float, inner: tuple[float, float]
) -> None:
    pixels: Any = ramps(800, 700)
    (x, y), (width, height) = corner, size
    placement = Placement(x, y, width, height, 800, 700, *image_size(width, height, max_scale))
    image_width, image_height = placement.image_width, placement.image_height
    image: Any = cv2.resize(placement.cut(pixels), (image_width, image_height), interpolation=cv2.INTER_AREA)
    scaled_from = (width, height) if placement.scaled else None
    picture = Picture(image, x, y, 800, 700, scaled_from=scaled_from)
    side = min(width, height) // 2
    window = Window(x + int(inner[0] * width), y + int(inner[1] * height), side)
    crops: Any = np.empty((2, 64, 64, 3), np.float32)
    found, truth = crops
    cut(picture, window, found, (0, 0, 0))
    cut(pixels, window, truth, (0, 0, 0))
    # OpenCV samples at 32nds of a pixel of the image.
    assert np.abs(found - truth).max() < 0.05 * width / image_width + 0.05
