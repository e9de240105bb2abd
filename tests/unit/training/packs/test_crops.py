"""The crops of packs: what they show, and where the box is in them."""

from __future__ import annotations

import numpy as np
import pytest

from models.geometry import Box
from training.datasets.tracks import DataInvalid
from training.packs.crops import CropRule, cut_object

RULE = CropRule()


def scene(width: int, height: int, box: tuple[int, int, int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Grey with a white patch."""
    picture = np.full((height, width, 3), 60, np.uint8)
    x, y, w, h = box
    picture[y : y + h, x : x + w] = 255
    return picture


def test_a_small_target_keeps_its_pixels() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (300, 400, 3), np.uint8)
    box = Box(180, 140, 20, 12)
    window, side = RULE.window(box)
    crop = cut_object(picture, box, RULE)
    # sqrt((20 + 16)(12 + 16)) * 511 / 127 = 127.75 px
    assert side == window.side == 128
    x, y = int(window.x), int(window.y)
    np.testing.assert_array_equal(crop, picture[y : y + 128, x : x + 128])


def test_a_large_target_is_made_smaller_to_pysots_size() -> None:
    box = (300, 200, 160, 200)
    crop = cut_object(scene(900, 700, box), Box(*box), RULE)
    assert crop.shape == (511, 511, 3)
    window, side = RULE.window(Box(*box))
    inside = window.to_crop(Box(*box), side)
    white = crop[..., 0] > 157
    columns, rows = np.flatnonzero(white.any(axis=0)), np.flatnonzero(white.any(axis=1))
    assert columns[0] == pytest.approx(inside.x, abs=0.75)
    assert columns[-1] + 1 == pytest.approx(inside.x + inside.w, abs=0.75)
    assert rows[0] == pytest.approx(inside.y, abs=0.75)
    assert rows[-1] + 1 == pytest.approx(inside.y + inside.h, abs=0.75)
    # The context side of the box is 127 px in pysot's crop of 511.
    assert np.sqrt((inside.w + 180 * side / window.side) * (inside.h + 180 * side / window.side)) == pytest.approx(
        127, abs=0.5
    )


@pytest.mark.parametrize("box", [(0, 0, 30, 20), (170, 130, 30, 20), (20, 20, 170, 120)])
def test_what_lies_outside_the_frame_has_the_frames_mean_colour(box: tuple[int, int, int, int]) -> None:
    picture = scene(200, 150, box)
    crop = cut_object(picture, Box(*box), RULE)
    mean = int(picture.mean())
    corner = crop[0, 0] if box[0] < 100 else crop[-1, -1]
    np.testing.assert_array_equal(corner, [mean] * 3)
    assert (crop == 255).any()


def test_a_target_outside_the_frame_gives_an_even_crop() -> None:
    crop = cut_object(scene(200, 150, (0, 0, 10, 10)), Box(900, 900, 20, 20), RULE)
    assert np.ptp(crop) == 0


@pytest.mark.parametrize("wrong", [{"side": 8}, {"quality": 0}, {"every": 0}, {"span": 0.5}])
def test_a_rule_out_of_range_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(DataInvalid, match="out of range"):
        CropRule(**wrong)
