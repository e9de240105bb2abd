"""A faded template: the target as it is, the rest with less contrast."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.fading import EDGE, faded
from models.geometry import Size

SIDE = 64
CROP = np.random.default_rng(3).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
SIDES = st.floats(8, 60)


@given(SIDES, SIDES, st.floats(0, 0.99))
def test_inside_the_ellipse_nothing_changes_and_beyond_its_edge_so_much_contrast_is_left(
    w: float, h: float, background: float
) -> None:
    result = faded(CROP, Size(w, h), background)
    across, down = (np.arange(SIDE) - (SIDE - 1) / 2)[None], (np.arange(SIDE) - (SIDE - 1) / 2)[:, None]
    radius = np.sqrt((across / (w / 2)) ** 2 + (down / (h / 2)) ** 2)
    np.testing.assert_array_equal(result[radius <= 1], CROP[radius <= 1])
    mean, outside = CROP.reshape(-1, 3).mean(0), radius >= 1 + EDGE
    expected = mean + background * (CROP[outside] - mean)
    np.testing.assert_allclose(result[outside], expected, atol=0.51)
    assert result.dtype == np.uint8


def test_the_crop_itself_is_left_alone() -> None:
    crop = CROP.copy()
    faded(crop, Size(20, 30), 0.4)
    np.testing.assert_array_equal(crop, CROP)
