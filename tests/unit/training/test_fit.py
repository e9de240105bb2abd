"""A real, tiny training run: resumes to the same weights, and exports to a package that serves."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from models.geometry import Box
from models.package import load_tracker, read_package
from models.runtimes.kinds import GraphFormat
from training import checkpoint
from training.export import export
from training.fit import train

RECIPE = Path(__file__).parents[3] / "training" / "recipes" / "siamfcpp_light.toml"


@pytest.fixture(scope="module")
def recipe(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped recipe on the drawn data, with four steps of four pairs."""
    text = RECIPE.read_text().replace("$LOCKON_SHARED/data/train", str(shards))
    for old, new in (("4500", "4"), ("batch = 32", "batch = 4"), ("frozen_steps = 500", "frozen_steps = 1")):
        assert old in text
        text = text.replace(old, new)
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(text.replace("warmup_steps = 200", "warmup_steps = 1"))
    return path


@pytest.fixture(scope="module")
def trained(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last checkpoint of an uninterrupted run."""
    return train(recipe, tmp_path_factory.mktemp("run"))


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(recipe: Path, trained: Path, tmp_path: Path) -> None:
    train(recipe, tmp_path, steps=2)
    resumed = checkpoint.load(train(recipe, tmp_path, resume=True))
    whole = checkpoint.load(trained)
    assert resumed["step"] == whole["step"] == 4
    for part in ("network", "average"):
        for key, value in whole[part].items():
            assert torch.equal(resumed[part][key], value), f"{part}: {key}"


def test_training_changes_the_deep_half_of_the_backbone_only_after_it_is_unfrozen(
    trained: Path, recipe: Path, tmp_path: Path
) -> None:
    early, late = checkpoint.load(train(recipe, tmp_path, steps=1))["network"], checkpoint.load(trained)["network"]
    shallow, deep = "backbone._blocks.2._project_conv.weight", "backbone._blocks.10._project_conv.weight"
    assert torch.equal(early[shallow], late[shallow])
    assert not torch.equal(early[deep], late[deep])


def test_an_exported_checkpoint_is_a_package_that_tracks(trained: Path, tmp_path: Path) -> None:
    exported = export(trained, tmp_path / "mine", scores={"success_auc": 0.1})
    assert list(exported.differences) == [GraphFormat.ONNX]
    assert exported.differences[GraphFormat.ONNX].negligible
    package = read_package(tmp_path / "mine")
    assert package.scores == {"success_auc": 0.1}
    assert package.origin["pairs"] == 16
    assert package.origin["seed"] == 1
    assert "EfficientNet-Lite0" in package.file("MODEL_CARD.md").read_text()
    tracker = load_tracker(str(tmp_path / "mine"))
    frame = cv2.GaussianBlur(np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 4)
    target = tracker.start(frame, Box(100, 80, 60, 50))
    estimate = tracker.follow(target, frame)
    assert estimate.box.is_finite()
    assert 0 <= estimate.score <= 1
