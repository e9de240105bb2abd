"""The dummy runtime: correlation on crops; the tracker's tests drive it over whole sequences."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from models.runtimes.base import ByteArray, FloatArray
from models.runtimes.dummy import DummyRuntime

SIZE = np.full((1, 2), 56, np.float32)
LOOP = np.array([[0.0, 0.0, 0.5]], np.float32)


def crop(side: int, *centres: tuple[int, int], ground: int = 20) -> ByteArray:
    """Bright discs of 56 px on dark ground."""
    picture = np.full((side, side, 3), ground, np.uint8)
    for centre in centres:
        cv2.circle(picture, centre, 28, (200, 220, 240), -1)
    return picture


def found(template: ByteArray, search: ByteArray) -> tuple[FloatArray, FloatArray]:
    runtime = DummyRuntime()
    best = runtime.search(runtime.template(template[None]), search[None], SIZE, LOOP)
    return best.best[0], best.peak2[0]


@pytest.mark.parametrize("centre", [(112, 112), (80, 140), (150, 60)])
def test_the_object_is_found_where_it_was_drawn(centre: tuple[int, int]) -> None:
    best, _ = found(crop(112, (56, 56)), crop(224, centre))
    assert tuple(best[:2]) == pytest.approx(centre, abs=2)
    assert tuple(best[2:4]) == (56, 56)
    assert best[4] > 0.95
    assert best[5] == 1


def test_a_second_object_is_the_runner_up() -> None:
    _, alone = found(crop(112, (56, 56)), crop(224, (70, 112)))
    _, beside = found(crop(112, (56, 56)), crop(224, (70, 112), (160, 112)))
    assert beside[0] > 0.9 > alone[0]
    assert beside[1] == pytest.approx(90, abs=4)


@pytest.mark.parametrize(("template_discs", "search_discs"), [([], [(112, 112)]), ([(56, 56)], [])])
def test_flat_pictures_score_nothing(
    template_discs: list[tuple[int, int]], search_discs: list[tuple[int, int]]
) -> None:
    best, peak2 = found(crop(112, *template_discs), crop(224, *search_discs))
    assert np.isfinite(best).all()
    assert best[4] == 0
    assert tuple(peak2) == (0, 0)


def test_the_features_do_not_share_memory_with_the_crop() -> None:
    crops = crop(112, (56, 56))[None]
    (features,) = DummyRuntime().template(crops)
    before = features[0].copy()
    crops[:] = 0
    np.testing.assert_array_equal(features[0], before)
