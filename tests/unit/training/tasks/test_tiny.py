"""The tiny network begins as a thinned copy of its teacher and comes nearer to it while it learns to track."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from models.networks.siamfcpp_light import SiamFCppLight
from models.spec import SpecInvalid
from tests.unit.training.tasks.conftest import RECIPES
from training.datasets.sources import open_sources
from training.feeding import Feeder
from training.fit_recipe import DistilRecipe, FitRecipe
from training.learner import Learner
from training.recipe import Recipe, SourceRecipe, read_recipe
from training.sampling import PairSampler
from training.tasks.making import make_task
from training.tasks.tiny import SETTLING_STEPS, TinyTask

CPU = torch.device("cpu")


@pytest.fixture
def recipe(shards: Path) -> Recipe:
    """The published one, with batches of two of drawn pairs."""
    published = read_recipe(RECIPES / "siamfcpp_tiny.toml")
    assert isinstance(published.fit, FitRecipe)
    data = dataclasses.replace(published.data, sources=(SourceRecipe(str(shards)),))
    return dataclasses.replace(published, data=data, fit=dataclasses.replace(published.fit, batch=2, warmup_steps=0))


def _task(recipe: Recipe) -> TinyTask:
    task = make_task(recipe)
    assert isinstance(task, TinyTask)
    return task


def test_it_learns_from_a_teacher_first_and_alone_later(recipe: Recipe) -> None:
    torch.manual_seed(0)
    task = _task(recipe)
    assert "thinned copy of siamfcpp_light" in task.take_first_weights()
    fit = recipe.fit
    assert isinstance(fit, FitRecipe)
    assert fit.distil is not None
    learner = Learner(task, fit, CPU)
    sampler = PairSampler(open_sources(recipe.data), recipe.data, recipe.augment, recipe.model.crop, fit.seed)
    feeder = Feeder(recipe, sampler, task.features(CPU), CPU)
    (parts,) = feeder.batches(0, 1)
    taught = [learner.step(SETTLING_STEPS, parts)[0] for _ in range(6)]
    differences = [(each.total - fit.score_weight * each.score - fit.box_weight * each.box).item() for each in taught]
    assert 0 < differences[-1] < differences[0]
    alone = learner.step(fit.distil.steps, parts)[0]
    assert alone.total.item() == pytest.approx((fit.score_weight * alone.score + fit.box_weight * alone.box).item())


def test_batch_norm_settles_first_and_then_stays(recipe: Recipe) -> None:
    task = _task(recipe)
    network = task.network
    assert isinstance(network, SiamFCppLight)
    stages = [task.stage(step) for step in (0, SETTLING_STEPS, 900, 1500)]
    assert stages == [0, 1, 2, 3]
    for stage in stages:
        task.enter(stage)
        assert network.backbone.training == (stage == 0)
        assert network.head.training


@pytest.mark.parametrize(
    ("distil", "words"), [(None, "needs a teacher"), (DistilRecipe("siamfcpp_nobody", 10, 1.0), "siamfcpp_nobody")]
)
def test_a_recipe_without_a_teacher_that_is_there_is_refused(
    recipe: Recipe, distil: DistilRecipe | None, words: str
) -> None:
    fit = recipe.fit
    assert isinstance(fit, FitRecipe)
    with pytest.raises((SpecInvalid, ValueError), match=words):
        make_task(dataclasses.replace(recipe, fit=dataclasses.replace(fit, distil=distil)))
