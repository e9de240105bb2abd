"""What learns when, and with which rate; both rules of batch norm; momentum that begins anew."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models.spec import SpecInvalid
from tests.unit.training.tasks.conftest import Small
from training.datasets.sources import open_sources
from training.feeding import Batch, Feeder
from training.fit_recipe import Group, LossKind, LossRecipe, Norms
from training.learner import Learner
from training.recipe import Recipe, StagedFitRecipe
from training.sampling import PairSampler
from training.tasks.anchor_targets import kept, shuffled_order
from training.tasks.making import make_task
from training.tasks.staged import StagedTask

CPU = torch.device("cpu")
GROUPS = (
    Group(("neck", "head")),
    Group(("backbone.conv3b",), rate=0.1, from_epoch=2),
    Group(("backbone",), rate=0.01, from_epoch=-1),
)


def staged(recipe: Recipe) -> StagedTask:
    task = make_task(recipe)
    assert isinstance(task, StagedTask)
    return task


def learning(network: nn.Module) -> set[str]:
    return {name for name, value in network.named_parameters() if value.requires_grad}


def parts_of(recipe: Recipe, step: int = 0) -> list[Batch]:
    sampler = PairSampler(open_sources(recipe.data), recipe.data, recipe.augment, recipe.trained_model.crop, 1)
    return list(next(Feeder(recipe, sampler, lambda crops: crops, CPU).batches(step, step + 1)))


def test_parts_begin_to_learn_in_their_epoch(small: Small) -> None:
    task = staged(small("siamfcpp_tinyconv", groups=GROUPS, norms=Norms.REST))
    assert [task.stage(step) for step in range(4)] == [1, 1, 2, 2]
    task.enter(1)
    assert {name.split(".")[0] for name in learning(task.network)} == {"neck", "head"}
    task.enter(2)
    backbone = {name for name in learning(task.network) if name.startswith("backbone")}
    assert {name.rsplit(".", 1)[0] for name in backbone} == {"backbone.conv3b.conv", "backbone.conv3b.norm"}


def test_norms_rest_with_their_layers_or_go_on(small: Small) -> None:
    for rule, rests in ((Norms.REST, True), (Norms.LEARN, False)):
        task = staged(small("siamfcpp_tinyconv", groups=GROUPS, norms=rule))
        task.enter(1)
        norms = {name: each for name, each in task.network.named_modules() if isinstance(each, nn.BatchNorm2d)}
        frozen = norms["backbone.conv1.norm"]
        assert frozen.training is not rests
        assert frozen.weight.requires_grad is not rests
        assert norms["neck.search_box.norm"].training
        convolution = task.network.get_parameter("backbone.conv1.conv.weight")
        assert not convolution.requires_grad


def test_every_group_has_its_share_of_the_rate(small: Small) -> None:
    recipe = small("siamfcpp_tinyconv", groups=GROUPS, decays_biases=False)
    learner = Learner(staged(recipe), recipe.fit, CPU)
    learner.step(0, parts_of(recipe))
    assert isinstance(recipe.fit, StagedFitRecipe)
    first = recipe.fit.phases[0].first
    rates = {round(group["lr"] / first, 6): group["weight_decay"] for group in learner.optimiser.param_groups[::2]}
    assert rates == {1.0: 5e-5, 0.1: 5e-5, 0.01: 5e-5}
    assert all(group["weight_decay"] == 0 for group in learner.optimiser.param_groups[1::2])


def test_momentum_begins_anew_where_the_recipe_says_so(small: Small) -> None:
    for restarts in (True, False):
        recipe = small("siamfcpp_tinyconv", groups=GROUPS, restarts_momentum=restarts)
        learner = Learner(staged(recipe), recipe.fit, CPU)
        weight = learner.task.network.get_parameter("neck.search_box.conv.weight")
        learner.step(0, parts_of(recipe))
        learner.step(2, parts_of(recipe))
        assert weight.grad is not None
        fresh = weight.grad + 5e-5 * weight.detach()
        state = learner.optimiser.state[weight]["momentum_buffer"]
        assert torch.allclose(state, fresh, rtol=1e-3, atol=1e-9) is restarts


def test_gradients_that_are_summed_over_eight_gpus_are_eight_times_as_large(small: Small) -> None:
    norms = []
    for factor in (1.0, 8.0):
        torch.manual_seed(0)
        recipe = small("siamfcpp_tinyconv", gradient_factor=factor)
        norms.append(Learner(staged(recipe), recipe.fit, CPU).step(0, parts_of(recipe))[1])
    assert norms[1] == pytest.approx(8 * norms[0], rel=1e-4)


def test_groups_that_name_nothing_and_losses_of_other_networks_are_refused(small: Small) -> None:
    with pytest.raises(SpecInvalid, match=r"nothing of the name 'backbone\.layer9'"):
        make_task(small("siamfcpp_tinyconv", groups=(Group(("backbone.layer9",)),)))
    with pytest.raises(SpecInvalid, match="pysot is not for siamfcpp_tinyconv"):
        make_task(small("siamfcpp_tinyconv", loss=LossRecipe(LossKind.PYSOT, 1.2)))


def test_choices_follow_a_pairs_number_wherever_it_stands() -> None:
    order = shuffled_order(torch.tensor([3, 900_000_000, 3]), 3125)
    assert torch.equal(order[0], order[2])
    assert not torch.equal(order[0].argsort(), order[1].argsort())
    chosen = kept(torch.ones(3, 3125, dtype=torch.bool), torch.tensor([16, 48, 0]), order)
    assert chosen.sum(1).tolist() == [16, 48, 0]
    # No place is chosen more often than chance has it.
    many = kept(torch.ones(400, 100, dtype=torch.bool), 10, shuffled_order(torch.arange(400), 100)).sum(0)
    assert many.min() > 15
    assert many.max() < 70
