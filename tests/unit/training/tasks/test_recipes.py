"""Every published recipe learns: two real steps, one at the beginning and one when all of its parts have begun."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.unit.training.tasks.conftest import RECIPES, Small
from training.datasets.sources import open_sources
from training.feeding import Feeder
from training.learner import Learner
from training.recipe import StagedFitRecipe, read_recipe
from training.sampling import PairSampler
from training.tasks.making import make_task
from training.tasks.staged import members

CPU = torch.device("cpu")
QUICK = ("siamfcpp_tinyconv", "siamfcpp_shufflenetv2_x0_5")
STAGED = sorted(
    path.stem for path in RECIPES.glob("*.toml") if isinstance(read_recipe(path).fit, StagedFitRecipe)
)  # fmt: skip


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.named_parameters()}


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in STAGED]
)
@pytest.mark.timeout(600)
def test_a_recipe_learns_in_its_stages(small: Small, name: str) -> None:
    torch.manual_seed(0)
    recipe = small(name)
    fit = recipe.fit
    assert isinstance(fit, StagedFitRecipe)
    task = make_task(recipe)
    learner = Learner(task, fit, CPU)
    sampler = PairSampler(open_sources(recipe.data), recipe.data, recipe.augment, recipe.trained_model.crop, fit.seed)
    feeder = Feeder(recipe, sampler, task.features(CPU), CPU)
    last = max(group.from_epoch for group in fit.groups)
    if last <= 0:
        last = 1
    steps = {step: next(feeder.batches(step, step + 1)) for step in (0, last)}
    before = weights(task.network)
    for step, parts in steps.items():
        losses, norm = learner.step(step, parts)
        assert torch.isfinite(losses.stacked()).all()
        assert norm > 0
        after = weights(task.network)
        changed = {key for key, value in after.items() if not torch.equal(value, before[key])}
        assert changed, step
        for group, parameters in zip(fit.groups, members(task.network, fit.groups), strict=True):
            names = {key for key, value in task.network.named_parameters() if any(value is each for each in parameters)}
            convolutions = {key for key in names if before[key].ndim > 1}
            if 0 <= group.from_epoch <= step:
                # A layer whose input is zero or whose bias a norm takes off gets no gradient, but most do.
                assert len(changed & convolutions) > 0.9 * len(convolutions), group
            else:
                assert not changed & convolutions, group
        before = after
