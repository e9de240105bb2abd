"""Crops of SiamRPN_plus_plus_PyTorch by hand."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.crops import Window
from models.families.siamrpnpp_pytorch import RULES, window_around
from models.geometry import Box

FILL = (1, 2, 3)


def test_a_place_is_the_middle_between_the_first_and_the_last_pixel() -> None:
    assert RULES.start(Box(10, 20, 31, 41)).cx == 25
    assert RULES.report(RULES.start(Box(10, 20, 31, 41))) == Box(10, 20, 31, 41)


def test_windows_are_not_rounded() -> None:
    assert window_around(20, 30, 10.5) == Window(15.25, 25.25, 10.5)


@pytest.mark.parametrize(
    ("window", "first", "last"),
    [
        (Window(15.25, 25.25, 10), (15, 25), (24, 34)),
        (Window(15.5, 25.4, 10.5), (16, 25), (25, 35)),  # halves go up, also those of the last pixel
        (Window(-0.5, -0.6, 10), (0, -1), (9, 8)),
    ],
)
def test_crops_reach_from_the_nearest_first_to_the_nearest_last_pixel(
    window: Window, first: tuple[int, int], last: tuple[int, int]
) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (60, 60, 3), np.uint8)
    crop = np.empty((20, 20, 3), np.uint8)
    RULES.cut(frame, window, crop, FILL)
    padded = cv2.copyMakeBorder(frame, 5, 5, 5, 5, cv2.BORDER_CONSTANT, value=FILL)
    patch = padded[first[1] + 5 : last[1] + 6, first[0] + 5 : last[0] + 6]
    np.testing.assert_array_equal(crop, cv2.resize(patch, (20, 20)))
