"""One step of learning: in parts, in half precision."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.spec import SpecInvalid
from training.feeding import Batch
from training.learner import Learner
from training.recipe import Precision, Recipe, read_recipe
from training.tasks.making import make_task

RECIPE = Path(__file__).parents[3] / "training" / "recipes" / "siamfcpp_light.toml"
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return read_recipe(RECIPE)


def features(generator: torch.Generator, side: int) -> Tensor:
    """Of two crops, as the shallow half gives them."""
    maps = torch.randn(2, 40, side, side, generator=generator)
    return maps.contiguous(memory_format=torch.channels_last)


@pytest.fixture
def batch() -> Batch:
    """Two pairs; the target lies in the first one's search crop only."""
    generator = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[80.0, 70.0, 150.0, 140.0], [0.0, 0.0, 1.0, 1.0]])
    positive, gaps, numbers = torch.tensor([True, False]), torch.zeros(2, dtype=torch.int64), torch.arange(2)
    return Batch(features(generator, 14), features(generator, 26), boxes, positive, gaps, numbers)


def learner(recipe: Recipe, **changes: object) -> Learner:
    """With the same weights whatever the changes."""
    torch.manual_seed(0)
    # The rate does not change from step to step.
    steady = {"frozen_steps": 0, "warmup_steps": 0, "decay_steps": 0}
    changed = dataclasses.replace(recipe, fit=dataclasses.replace(recipe.fit, **(steady | changes)))  # type: ignore[arg-type]
    return Learner(make_task(changed), changed.fit, CPU)


def gradients(learner: Learner) -> Tensor:
    return torch.cat([p.grad.flatten() for p in learner.task.network.parameters() if p.grad is not None])


def test_a_batch_in_two_equal_parts_teaches_what_each_of_them_does(recipe: Recipe, batch: Batch) -> None:
    one, two = learner(recipe), learner(recipe)
    (loss, norm), (same_loss, same_norm) = one.step(0, [batch]), two.step(0, [batch, batch])
    assert same_loss.total.item() == pytest.approx(loss.total.item())
    assert same_norm == pytest.approx(norm)
    torch.testing.assert_close(gradients(two), gradients(one))


def test_a_batch_that_can_not_be_cut_evenly_is_refused(recipe: Recipe) -> None:
    with pytest.raises(SpecInvalid, match="accumulate must divide batch"):
        dataclasses.replace(recipe.fit, batch=32, accumulate=5)


def test_gradients_are_clipped_to_the_norm_of_the_recipe(recipe: Recipe, batch: Batch) -> None:
    short = learner(recipe, gradient_clip=0.25)
    _, norm = short.step(0, [batch])
    assert norm > 0.25, "the norm before the clip is told"
    assert gradients(short).norm().item() == pytest.approx(0.25, rel=1e-4)


def test_half_precision_points_the_same_way_and_keeps_weights_in_single(recipe: Recipe, batch: Batch) -> None:
    single, half = learner(recipe, learning_rate=0.0), learner(recipe, learning_rate=0.0, precision=Precision.BFLOAT16)
    (loss, _), (half_loss, _) = single.step(0, [batch]), half.step(0, [batch])
    assert half_loss.total.item() == pytest.approx(loss.total.item(), rel=0.02)
    # .98 and a little: processors with instructions for bfloat16 round elsewhere than those without.
    assert torch.cosine_similarity(gradients(single), gradients(half), dim=0) > 0.95
    weights = half.task.network.state_dict()
    assert weights.keys() == single.task.network.state_dict().keys()
    assert {value.dtype for value in weights.values()} == {torch.float32, torch.int64}


def test_float16_without_a_gpu_is_refused(recipe: Recipe) -> None:
    with pytest.raises(SpecInvalid, match="float16 needs a GPU"):
        learner(recipe, precision=Precision.FLOAT16)
