"""Pairs as published code bases cut and disturb them, on drawn shards."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from models.spec import SpecInvalid
from training.augment import to_device
from training.datasets.sources import DataSet, read_source
from training.feeding import Feeder
from training.published.pysot_colours import Cross, blurred, disturbed
from training.recipe import PysotAugment, Recipe, read_recipe
from training.sampling import PairBatch, PairSampler

RECIPES = Path(__file__).parents[3] / "training" / "recipes"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(shards: Path) -> DataSet:
    return DataSet.of(read_source(shards), 1)


def recipe_of(name: str) -> Recipe:
    recipe = read_recipe(RECIPES / f"{name}.toml")
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, negative_share=0.0))


def sampler(name: str, data: DataSet) -> PairSampler:
    recipe = recipe_of(name)
    return PairSampler([data], recipe.data, recipe.augment, recipe.trained_model.crop, seed=3)


def patch_edges(crop: np.ndarray, box: np.ndarray) -> tuple[float, float]:
    """How much the colour varies inside the box, but for its rim, and between its inside and what is just outside."""
    x0, y0, x1, y1 = box.round().astype(int)
    inside = crop[y0 + 3 : y1 - 3, x0 + 3 : x1 - 3].reshape(-1, 3).astype(float)
    above = crop[max(y0 - 6, 0) : max(y0 - 2, 1), x0 + 3 : x1 - 3].reshape(-1, 3).astype(float)
    return float(inside.std(axis=0).max()), float(np.abs(inside.mean(0) - above.mean(0)).max())


@pytest.mark.parametrize("name", ["siamrpn_alexnet", "siamrpnpp_r50_mmtracking", "siamfcpp_alexnet"])
def test_the_box_is_where_the_target_came_to_lie(name: str, data: DataSet) -> None:
    batch = sampler(name, data).batch(0, 8)
    side = batch.searches.shape[1]
    assert np.ptp((batch.boxes[:, 0] + batch.boxes[:, 2]) / 2) > side / 20, "targets are moved"
    for crop, box in zip(batch.searches, batch.boxes, strict=True):
        if box.min() < 8 or box.max() > side - 8:
            continue
        varies, stands_out = patch_edges(crop, box)
        assert varies < 12 < stands_out, "the patch has one colour, which is not that of its surroundings"
    again = sampler(name, data).batch(0, 8)
    for field in dataclasses.fields(PairBatch):
        np.testing.assert_array_equal(getattr(batch, field.name), getattr(again, field.name))


def test_colours_shift_together_and_blur_keeps_them(data: DataSet) -> None:
    recipe = recipe_of("siamrpn_alexnet")
    assert isinstance(recipe.augment, PysotAugment)
    pairs = to_device(sampler("siamrpn_alexnet", data).batch(0, 8), CPU)
    rule = dataclasses.replace(recipe.augment, search=dataclasses.replace(recipe.augment.search, blur=0.0))
    found = disturbed(pairs, rule, torch.Generator().manual_seed(0))
    shift = found.searches - pairs.searches
    assert found.searches.dtype == torch.float32
    assert shift.std((1, 2)).max() < 1e-4, "each channel of a crop by one amount"
    assert shift[:, 0, 0].abs().max() > 1
    flat = torch.full((2, 60, 60, 3), 77.0)
    cross = Cross(torch.tensor([5, 45]), torch.tensor([0.2, 0.9]))
    torch.testing.assert_close(blurred(flat, cross), flat)
    spot = torch.zeros(1, 60, 60, 3)
    spot[0, 30, 30] = 1
    spread = blurred(spot, Cross(torch.tensor([5]), torch.tensor([0.25])))[0, :, :, 0]
    assert spread[30, 28:33].tolist() == pytest.approx([0.15, 0.15, 0.2, 0.15, 0.15])
    assert spread[28:33, 30].tolist() == pytest.approx([0.05, 0.05, 0.2, 0.05, 0.05])


def test_a_step_has_the_same_pairs_whenever_it_is_made(data: DataSet) -> None:
    recipe = recipe_of("siamrpn_alexnet")
    recipe = dataclasses.replace(recipe, fit=dataclasses.replace(recipe.fit, batch=4))
    feeder = Feeder(recipe, sampler("siamrpn_alexnet", data), lambda crops: crops, CPU)
    once, again = feeder.pairs(5), feeder.pairs(5)
    torch.testing.assert_close(once.searches, again.searches, rtol=0, atol=0)
    assert not torch.equal(once.searches, feeder.pairs(6).searches)


def test_unknown_code_bases_and_keys_are_refused(tmp_path: Path) -> None:
    text = (RECIPES / "siamfcpp_alexnet.toml").read_text(encoding="utf-8")
    for old, new, told in (
        (
            'after = "video_analyst"',
            'after = "other"',
            "augment.after: 'other' is none of pysot, mmtracking",
        ),
        ('after = "video_analyst"', 'after = "pysot"', "augment: unknown key 'scale'"),
        ("template_scale = 0.0", "blur = 0.0", "augment: unknown key 'blur'"),
    ):
        path = tmp_path / "recipe.toml"
        path.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(SpecInvalid, match=told):
            read_recipe(path)
