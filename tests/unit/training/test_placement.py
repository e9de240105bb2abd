"""Where a target comes to lie in its crop, and whose crops are negatives."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.crops import context_side
from models.geometry import Box
from tests.unit.training.conftest import own_augment
from training.datasets.sources import DataSet, read_source
from training.placement import placed
from training.recipe import Motion, Recipe, read_recipe
from training.sampling import Mix, PairSampler

RECIPE = Path(__file__).parents[3] / "training" / "recipes" / "siamfcpp_light.toml"


@pytest.fixture(scope="module")
def data(shards: Path) -> DataSet:
    return DataSet.of(read_source(shards), 14)


@pytest.fixture(scope="module")
def calm() -> Recipe:
    """The shipped recipe without anything that changes pixels or positions."""
    recipe = read_recipe(RECIPE)
    own = own_augment(recipe)
    none: dict[str, Any] = {field.name: 0.0 for field in dataclasses.fields(own) if field.name != "motion"}
    augment = dataclasses.replace(own, **none)
    return dataclasses.replace(recipe, augment=augment, data=dataclasses.replace(recipe.data, negative_share=0.0))


def test_a_turned_target_has_the_box_of_a_turned_ellipse(data: DataSet, calm: Recipe) -> None:
    turned = dataclasses.replace(own_augment(calm), rotation=20.0)
    batch = PairSampler([data], calm.data, turned, calm.model.crop, seed=3).batch(0, 8)
    sides = batch.boxes[:, 2:] - batch.boxes[:, :2]
    np.testing.assert_allclose(
        (batch.boxes[:, :2] + batch.boxes[:, 2:]) / 2, calm.model.crop.search_size / 2, atol=1e-3
    )
    # Turning an ellipse keeps the sum of its box's squared sides; the patch is 64.17 x 48.12 when upright.
    np.testing.assert_allclose((sides**2).sum(1), 64.17**2 + 48.12**2, rtol=1e-3)
    assert np.ptp(sides[:, 0]) > 1
    for crop in batch.searches:  # the middle is still the patch, in one colour
        assert np.ptp(crop[92:116, 92:116].reshape(-1, 3).astype(int), axis=0).max() < 25


def test_a_deformed_target_is_turned_and_stretched_more(calm: Recipe) -> None:
    rule = dataclasses.replace(own_augment(calm), aspect=0.1, rotation=5.0)
    box, crop = Box(0, 0, 40, 30), calm.model.crop

    def spread(share: float) -> tuple[float, float]:
        rng = np.random.default_rng(1)
        drawn = [placed(box, crop, dataclasses.replace(rule, deformed_share=share), rng) for _ in range(2000)]
        return float(np.std([np.log(place.aspect) for place in drawn])), float(np.std([p.angle for p in drawn]))

    np.testing.assert_allclose(spread(0.0), (0.1, np.radians(5)), rtol=0.06)
    np.testing.assert_allclose(spread(1.0), (0.3, np.radians(15)), rtol=0.06)


def test_negatives_of_the_same_class_come_from_another_scene(data: DataSet, calm: Recipe) -> None:
    rng = np.random.default_rng(0)
    mix = Mix([data], calm.data)
    track = data.tracks[0]
    alike = [mix.alike(track, rng) for _ in range(20)]
    assert {other.category for other in alike if other is not None} == {"patch"}
    assert len({other.name for other in alike if other is not None}) > 3
    assert mix.alike(dataclasses.replace(track, category=None), rng) is None
    asked = dataclasses.replace(calm.data, negative_share=1.0, same_class_share=1.0)
    assert not PairSampler([data], asked, calm.augment, calm.model.crop, seed=3).batch(0, 8).positive.any()


def test_a_transplanted_target_keeps_its_middle_and_loses_its_surroundings(data: DataSet, calm: Recipe) -> None:
    elsewhere = dataclasses.replace(own_augment(calm), transplant_share=1.0)
    crops = [
        PairSampler([data], calm.data, augment, calm.model.crop, seed=3).batch(0, 1)
        for augment in (calm.augment, elsewhere)
    ]
    here, there = (batch.searches[0].astype(int) for batch in crops)
    np.testing.assert_array_equal(crops[0].boxes, crops[1].boxes)
    np.testing.assert_array_equal(crops[0].templates, crops[1].templates)
    np.testing.assert_allclose(here[88:120, 80:128], there[88:120, 80:128], atol=1)
    outside = np.ones(here.shape[:2], bool)
    x0, y0, x1, y1 = crops[0].boxes[0].astype(int)
    outside[y0 - 8 : y1 + 8, x0 - 8 : x1 + 8] = False
    assert np.abs(here - there)[outside].mean() > 5


def test_stretched_targets_have_the_sides_and_shifts_of_pysots_regions(calm: Recipe) -> None:
    recipe = dataclasses.replace(own_augment(calm), motion=Motion.STRETCHED, shift=0.25, scale=0.18)
    rng = np.random.default_rng(0)
    drawn = [placed(Box(0, 0, 40, 30), calm.model.crop, recipe, rng) for _ in range(500)]
    wide = np.array([place.scale * np.sqrt(place.aspect) for place in drawn])
    high = np.array([place.scale / np.sqrt(place.aspect) for place in drawn])
    for sides in (wide, high):
        assert 1 / 1.18 <= sides.min() < 0.86
        assert 1.2 < sides.max() <= 1 / 0.82
    assert abs(np.corrcoef(wide, high)[0, 1]) < 0.15
    assert np.abs([place.dx / side for place, side in zip(drawn, wide, strict=True)]).max() <= 0.25


def test_zoomed_targets_stay_whole_within_the_crop(calm: Recipe) -> None:
    recipe = dataclasses.replace(own_augment(calm), motion=Motion.ZOOMED, shift=0.45, scale=0.3)
    crop, rng = calm.model.crop, np.random.default_rng(0)
    for box in (Box(0, 0, 40, 30), Box(0, 0, 200, 4)):
        share = np.array([box.w, box.h]) * crop.template_size / context_side(box.size, crop.context_amount)
        for _ in range(200):
            place = placed(box, crop, recipe, rng)
            assert 1 / 1.3 <= place.scale <= 1.3
            reach = np.abs([place.dx, place.dy]) * crop.search_size + share * place.scale / 2
            assert (reach <= crop.search_size / 2 + 1e-6).all()
