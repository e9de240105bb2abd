"""What is wrong in a recipe is an error that names file or field, value and limit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.spec import SpecInvalid
from tests.unit.training.short_runs import RECIPES, changed
from training.recipe import read_recipe

OWN, STAGED, PYSOT = "siamfcpp_light", "siamfcpp_tinyconv", "siamrpn_alexnet"


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_the_shipped_recipes_are_within_the_limits(name: str) -> None:
    assert name.startswith(read_recipe(RECIPES / f"{name}.toml").name)


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        (OWN, "batch", "0", "fit.batch must be 1 or more, got 0"),
        (OWN, "batch", "-4", "fit.batch must be 1 or more, got -4"),
        (OWN, "checkpoint_every", "0", "fit.checkpoint_every must be 1 or more, got 0"),
        (OWN, "snapshot_every", "-1", "fit.snapshot_every must be 0 or more, got -1"),
        (OWN, "workers", "-1", "fit.workers must be 0 or more, got -1"),
        (OWN, "learning_rate", "nan", "fit.learning_rate must be 0 or more, got nan"),
        (OWN, "weight_decay", "inf", "fit.weight_decay must be 0 or more, got inf"),
        (OWN, "ema_decay", "1.5", "fit.ema_decay must be in 0..1, got 1.5"),
        (OWN, "track_share", "1.5", "data.track_share must be in 0..1, got 1.5"),
        (OWN, "negative_share", "-1.0", "data.negative_share must be in 0..1, got -1.0"),
        (OWN, "min_side", "-1.0", "data.min_side must be 0 or more, got -1.0"),
        (OWN, "blur_share", "2.0", "augment.blur_share must be in 0..1, got 2.0"),
        (OWN, "noise", "-1.0", "augment.noise must be 0 or more, got -1.0"),
        (OWN, "low_resolution_factor", "0.5", "augment.low_resolution_factor must be 1 or more, got 0.5"),
        (STAGED, "checkpoint_every", "0", "fit.checkpoint_every must be 1 or more, got 0"),
        (STAGED, "batch", "0", "fit.batch must be 1 or more, got 0"),
        (STAGED, "accumulate", "0", "fit.accumulate must be 1 or more, got 0"),
        (STAGED, "momentum", "nan", "fit.momentum must be in 0..1, got nan"),
        (STAGED, "ema_decay", "-0.1", "fit.ema_decay must be in 0..1, got -0.1"),
        (STAGED, "template_shift", "-0.1", "augment.template_shift must be 0 or more, got -0.1"),
        (PYSOT, "grey_share", "1.1", "augment.grey_share must be in 0..1, got 1.1"),
    ],
)
def test_a_number_beyond_its_limit_is_named(name: str, field: str, value: str, message: str, tmp_path: Path) -> None:
    recipe = tmp_path / f"{name}.toml"
    recipe.write_text((RECIPES / recipe.name).read_text())
    with pytest.raises(SpecInvalid, match=re.escape(message)):
        read_recipe(changed(recipe, **{field: value}))


@pytest.mark.parametrize("content", [b"name = \n", b"hello", b"\xff\xfe"])
def test_a_file_that_is_no_toml_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(content)
    with pytest.raises(SpecInvalid, match=rf"{path}: is no TOML file: "):
        read_recipe(path)
