"""Shards, pairs and their disturbance."""

from __future__ import annotations

import dataclasses
import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.spec import SpecInvalid
from tests.unit.training.conftest import own_augment
from training.augment import Pairs, augment, to_device
from training.datasets.sources import DataSet, read_source
from training.datasets.tracks import DataInvalid, decoded
from training.recipe import Recipe, read_recipe
from training.sampling import PairSampler

RECIPE = Path(__file__).parents[3] / "training" / "recipes" / "siamfcpp_light.toml"


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(RECIPE)


@pytest.fixture(scope="module")
def sampler(shards: Path, recipe: Recipe) -> PairSampler:
    return PairSampler([opened(shards)], recipe.data, recipe.augment, recipe.model.crop, seed=3)


def opened(shards: Path) -> DataSet:
    return DataSet.of(read_source(shards), min_side=14)


def quiet(recipe: Recipe) -> Recipe:
    """The recipe without anything that changes pixels or positions."""
    own = own_augment(recipe)
    kept = ("motion", "flip_share")
    none: dict[str, Any] = {field.name: 0.0 for field in dataclasses.fields(own) if field.name not in kept}
    augment = dataclasses.replace(own, **none)
    data = dataclasses.replace(recipe.data, negative_share=0.0)
    return dataclasses.replace(recipe, augment=augment, data=data)


def test_shards_give_tracks_and_stills_without_tiny_boxes(shards: Path) -> None:
    data = opened(shards)
    assert len(data.pictures) == 18
    assert [len(track.views) for track in data.tracks] == [3, 3, 3, 3]
    assert len(data.stills) == 6
    assert decoded(*data.pictures.locate(17)).shape == (160, 200, 3)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataInvalid, match="holds none of GOT-10k"):
        read_source(tmp_path)


def test_a_description_without_its_picture_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        member = tarfile.TarInfo("x.json")
        member.size = 2
        tar.addfile(member, io.BytesIO(b"{}"))
    with pytest.raises(DataInvalid, match=r"a\.tar: x\.json does not follow its picture"):
        read_source(tmp_path)


def test_the_same_step_gives_the_same_pairs_and_another_step_others(sampler: PairSampler) -> None:
    first, again, other = sampler.batch(7, 6), sampler.batch(7, 6), sampler.batch(8, 6)
    np.testing.assert_array_equal(first.searches, again.searches)
    np.testing.assert_array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.searches, other.searches)


def test_an_undisturbed_pair_shows_the_target_at_half_the_template(shards: Path, recipe: Recipe) -> None:
    calm = quiet(recipe)
    sampler = PairSampler([opened(shards)], calm.data, calm.augment, calm.model.crop, seed=3)
    batch = sampler.batch(0, 4)
    sides = batch.boxes[:, 2:] - batch.boxes[:, :2]
    np.testing.assert_allclose(
        (batch.boxes[:, :2] + batch.boxes[:, 2:]) / 2, calm.model.crop.search_size / 2, atol=1e-3
    )
    # sqrt((w + p)(h + p)) of a 40 x 30 box is 69.82 px, and that many pixels become 112.
    np.testing.assert_allclose(sides, np.tile([[64.17, 48.12]], (4, 1)), atol=0.05)
    # The patch has one colour, and it ends where the box says.
    for crop, box in zip(batch.searches, batch.boxes.astype(int), strict=True):
        inside = crop[box[1] + 3 : box[3] - 3, box[0] + 3 : box[2] - 3].reshape(-1, 3).astype(int)
        assert np.ptp(inside, axis=0).max() < 25


def test_negatives_from_a_single_scene_are_refused(shards: Path, recipe: Recipe) -> None:
    data = opened(shards)
    lonely = dataclasses.replace(data, tracks=data.tracks[:1], stills=data.tracks[:1])
    only_negatives = dataclasses.replace(recipe.data, negative_share=1.0)
    sampler = PairSampler([lonely], only_negatives, recipe.augment, recipe.model.crop, seed=3)
    with pytest.raises(ValueError, match="negative_share"):
        sampler.batch(0, 1)


def test_disturbed_pairs_keep_their_shape_and_repeat_with_their_seed(sampler: PairSampler, recipe: Recipe) -> None:
    pairs = to_device(sampler.batch(0, 8), torch.device("cpu"))

    def disturbed(seed: int) -> Pairs:
        return augment(pairs, own_augment(recipe), torch.Generator().manual_seed(seed))

    first, again, other = disturbed(1), disturbed(1), disturbed(2)
    assert first.searches.shape == (8, 208, 208, 3)
    assert first.searches.dtype == torch.uint8
    assert torch.equal(first.searches, again.searches)
    assert torch.equal(first.boxes, again.boxes)
    assert not torch.equal(first.searches, other.searches)


def test_a_flip_moves_the_box_with_its_pixels(shards: Path, recipe: Recipe) -> None:
    calm = quiet(recipe)
    aside = dataclasses.replace(own_augment(calm), shift=0.2)
    sampler = PairSampler([opened(shards)], calm.data, aside, calm.model.crop, seed=3)
    batch = sampler.batch(1, 8)
    pairs = augment(to_device(batch, torch.device("cpu")), own_augment(calm), torch.Generator().manual_seed(0))
    turned = [row for row in range(8) if pairs.boxes[row, 0] != float(batch.boxes[row, 0])]
    assert turned
    for row in turned:
        assert pairs.boxes[row, 0].item() == pytest.approx(208 - batch.boxes[row, 2])
        np.testing.assert_array_equal(pairs.searches[row].numpy(), batch.searches[row][:, ::-1])


def test_a_recipe_with_an_unknown_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(RECIPE.read_text().replace("seed = 1", "seed = 1\nspeed = 3"))
    with pytest.raises(SpecInvalid, match=r"wrong\.toml\.fit: unknown key 'speed'"):
        read_recipe(path)
