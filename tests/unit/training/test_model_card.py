"""What a package says of its origin is what its checkpoint learned from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.package import available, find_package
from tests.unit.training.short_runs import RECIPES
from training.model_card import BACKBONE_NOTE, DATA_NOTE, origin, text
from training.recipe import FitRecipe, Recipe, SourceRecipe, read_recipe

OWN = read_recipe(RECIPES / "siamfcpp_light.toml")


def checkpoint_of(*stages: Recipe) -> dict[str, Any]:
    """What a checkpoint says of itself after these stages."""
    recipes = [stage.to_json() for stage in stages]
    told = [{"from_step": 0, "recipe": recipe, "commit": "x"} for recipe in recipes]
    facts = {"step": 1, "pairs": 32, "seconds": 1.0, "device": "cpu", "commit": "x"}
    return {**facts, "recipe": recipes[-1], "stages": told}


def learning_from(recipe: Recipe, *paths: str) -> Recipe:
    return replace(recipe, data=replace(recipe.data, sources=tuple(map(SourceRecipe, paths))))


def beginning_with(recipe: Recipe, start: str) -> Recipe:
    assert isinstance(recipe.fit, FitRecipe)
    return replace(recipe, fit=replace(recipe.fit, start=start))


@pytest.mark.parametrize("name", sorted(available()))
def test_the_shipped_models_keep_their_origin(name: str) -> None:
    package = find_package(name)
    kept = package.origin
    content = {"step": kept["steps"], "seconds": 0.0} | dict(kept)
    made = origin(content)
    assert {key: made[key] for key in ("licence", "backbone", "data")} == {
        "licence": "Apache-2.0",
        "backbone": BACKBONE_NOTE,
        "data": DATA_NOTE,
    }
    assert {key: kept[key] for key in ("licence", "backbone", "data")} == {
        key: made[key] for key in ("licence", "backbone", "data")
    }
    assert "It was trained on a small set; do not use it" in text(name, package.spec, made, {})


def test_a_network_of_ours_that_learned_from_other_data_names_it_and_states_no_licence() -> None:
    made = origin(checkpoint_of(learning_from(OWN, "/data/packs/got10k", "$MINE/shards")))
    assert made["data"] == "/data/packs/got10k, $MINE/shards"
    assert made["licence"] == "not stated"
    assert made["backbone"] == BACKBONE_NOTE
    assert "small set" not in text("mine", OWN.model, made, {})


def test_every_stage_counts() -> None:
    later = beginning_with(OWN, "runs/first/last.pt")
    made = origin(checkpoint_of(learning_from(OWN, "/data/packs/got10k"), later))
    assert made["data"] == "/data/packs/got10k, $LOCKON_SHARED/data/train, the weights of runs/first/last.pt"
    assert made["licence"] == "not stated"
    assert origin(checkpoint_of(OWN, later))["data"] == DATA_NOTE


def test_weights_of_a_package_that_a_run_began_with_are_named() -> None:
    made = origin(checkpoint_of(beginning_with(OWN, "packages/theirs")))
    assert made["data"] == "$LOCKON_SHARED/data/train, the weights of packages/theirs"
    assert (made["licence"], made["backbone"]) == ("not stated", "that of packages/theirs")


def test_another_teacher_is_named() -> None:
    tiny = read_recipe(RECIPES / "siamfcpp_tiny.toml")
    assert isinstance(tiny.fit, FitRecipe)
    assert tiny.fit.distil is not None
    taught = replace(tiny, fit=replace(tiny.fit, distil=replace(tiny.fit.distil, teacher="packages/theirs")))
    made = origin(checkpoint_of(taught))
    assert made["data"] == "$LOCKON_SHARED/data/train, the features of packages/theirs"
    assert made["backbone"] == "a thinned copy of that of packages/theirs"
    assert origin(checkpoint_of(tiny))["licence"] == "Apache-2.0"


def test_a_published_network_names_its_sources_and_its_backbone() -> None:
    made = origin(checkpoint_of(read_recipe(RECIPES / "siamfcpp_alexnet.toml")))
    assert made["data"].startswith("$LOCKON_DATA/")
    assert made["licence"] == "not stated"
    assert "$LOCKON_BACKBONES" in made["backbone"]
