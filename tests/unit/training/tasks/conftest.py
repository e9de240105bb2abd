"""Published recipes on the drawn shards, small enough for a processor."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from training.recipe import Recipe, SourceRecipe, StagedFitRecipe, read_recipe

RECIPES = Path(__file__).parents[4] / "training" / "recipes"

Small = Callable[..., Recipe]


@pytest.fixture(scope="session")
def small(shards: Path) -> Small:
    """The recipe of that name with an epoch of one step of two pairs, from noise; other values of `fit` as told."""

    def make(name: str, **values: object) -> Recipe:
        recipe = read_recipe(RECIPES / f"{name}.toml")
        assert isinstance(recipe.fit, StagedFitRecipe)
        few = {"start": "", "backbone": "", "batch": 2, "epoch_pairs": 2, "workers": 0}
        fit = dataclasses.replace(recipe.fit, **(few | values))  # type: ignore[arg-type]
        data = dataclasses.replace(recipe.data, sources=(SourceRecipe(str(shards)),))
        return dataclasses.replace(recipe, fit=fit, data=data, judge=None)

    return make
