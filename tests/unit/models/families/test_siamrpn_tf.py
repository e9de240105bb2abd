"""SiamRPN-TF's conventions by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from models.crops import Window
from models.families.siamrpn_tf import RULES
from models.geometry import Box, Size
from models.spec import CropSpec

CROP = CropSpec(template_size=127, search_size=255, context_amount=0.5)
PLACE = Box.from_centre(100, 80, 40, 20)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


def padded(size: Size) -> float:
    pad = (size.w + size.h) / 2
    return math.sqrt((size.w + pad) * (size.h + pad))


def test_the_template_is_the_middle_of_the_search_crop() -> None:
    frame = noise(160, 200)
    template, search = (np.empty((side, side, 3), np.uint8) for side in (127, 255))
    RULES.cut_template(frame, PLACE, CROP, (0, 0, 0), template)
    RULES.cut(frame, RULES.search_window(PLACE, CROP, 255), search, (0, 0, 0))
    np.testing.assert_array_equal(template, search[64:191, 64:191])


def test_the_fill_is_the_mean_of_the_same_frame() -> None:
    frame, crop = noise(40, 50), np.empty((10, 10, 3), np.uint8)
    RULES.cut(frame, Window(-10, 0, 10), crop, (1, 2, 3))
    assert tuple(crop[0, 0]) == tuple(np.floor(frame.mean(axis=(0, 1))))
    RULES.cut(frame, Window(5, 3, 10), crop, (1, 2, 3))
    np.testing.assert_array_equal(crop, frame[3:13, 5:15])


def test_in_the_first_frame_the_target_counts_as_large_as_it_is_without_context() -> None:
    window = RULES.search_window(PLACE, CROP, 255)
    scale = 127 / padded(Size(40, 20))
    first, later = (RULES.penalty_size(PLACE, window, CROP, 255, frames) for frames in (0, 1))
    assert later == pytest.approx((40 * scale, 20 * scale))
    assert padded(first) == pytest.approx(math.sqrt(40 * 20) * scale)
    assert first.w / first.h == pytest.approx(2)


def test_a_measured_box_is_a_crop_pixel_larger_than_the_ranked_one() -> None:
    window = RULES.search_window(PLACE, CROP, 255)
    scale = 127 / padded(Size(40, 20))
    measured = RULES.measured(Box.from_centre(127, 137, 39, 19), PLACE, window, CROP, 255)
    assert (measured.w, measured.h) == pytest.approx((40 / scale, 20 / scale))
    assert (measured.cx, measured.cy) == pytest.approx((100, 80 + 10 / scale))
