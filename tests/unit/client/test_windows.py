"""Which part of a frame the client sends: only what the server asked for, and only while that holds."""

from __future__ import annotations

import numpy as np
import pytest
from lockon_client.messages import NextWindow
from lockon_client.windows import Placement, Windows

FRAME = np.zeros((240, 320, 3), np.uint8)
ASKED = NextWindow(full=False, window=(16, 32, 64, 48))
PLACED = Placement(16, 32, 64, 48, 320, 240)


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
    assert windows.placement(small, starting=False) == Placement(16, 32, 64, 48, 100, 100)
