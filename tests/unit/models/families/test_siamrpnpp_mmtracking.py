"""mmtracking's crops, against whole padded windows that torch scales."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.crops import Window
from models.families.siamrpnpp_mmtracking import RULES, window_around
from models.geometry import Box

FILL = (10.25, 20.5, 30.75)
HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def frame() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def slowly(frame: NDArray[np.uint8], window: Window, size: int) -> NDArray[np.float32]:
    """The window built as a whole and scaled by torch."""
    rows, columns = (
        range(int(start), int(start + window.side) + (1 if int(start + window.side) < length else 0))
        for start, length in ((window.y, HEIGHT), (window.x, WIDTH))
    )
    whole = np.empty((len(rows), len(columns), 3), np.float32)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            inside = 0 <= row < HEIGHT and 0 <= column < WIDTH
            whole[i, j] = frame[row, column] if inside else FILL
    picture = torch.from_numpy(whole).permute(2, 0, 1)[None]
    scaled = torch.nn.functional.interpolate(picture, size=(size, size), mode="bilinear", align_corners=False)
    return np.asarray(scaled[0].permute(1, 2, 0))


@pytest.mark.parametrize(
    "window",
    [
        Window(10.5, 5.25, 20),
        Window(-0.5, -3.7, 31),  # cut towards zero
        Window(40.0, 30.0, 40),
        Window(44.0, 28.0, 20),  # its last pixel lies just outside on both sides
        Window(-30.5, -30.5, 200),
        Window(-500.0, -500.0, 40),
        Window(3.0, 3.0, 9),
    ],
)
@pytest.mark.parametrize("size", [24, 127])
def test_crops_are_what_torch_makes_of_the_padded_window(frame: NDArray[np.uint8], window: Window, size: int) -> None:
    crop = np.empty((size, size, 3), np.float32)
    RULES.cut(frame, window, crop, FILL)
    np.testing.assert_allclose(crop, slowly(frame, window, size), rtol=0, atol=0.01)


def test_a_gigantic_window_is_never_built(frame: NDArray[np.uint8]) -> None:
    crop = np.empty((8, 8, 3), np.float32)
    RULES.cut(frame, Window(-(10.0**8), -(10.0**8), 2 * 10**8), crop, FILL)
    assert (crop == np.array(FILL, np.float32)).all()


def test_windows_lie_between_pixels_and_the_fill_is_a_fraction(frame: NDArray[np.uint8]) -> None:
    assert window_around(100.25, 50, 33.5) == Window(83.25, 33, 34)
    assert RULES.fill(frame) == pytest.approx(frame.mean(axis=(0, 1)))
    assert RULES.report(RULES.start(Box(1, 2, 3, 4))) == Box(1, 2, 3, 4)
