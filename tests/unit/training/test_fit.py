"""A real, tiny training run: resumes to the same weights, and exports to a package that serves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from models.geometry import Box
from models.package import WEIGHTS, find_package, load_tracker, read_package
from models.runtimes.kinds import GraphFormat
from training import checkpoint
from training.export import ExportFailed, export
from training.fit import TrainingFailed, train
from training.model_card import origin
from training.recipe import read_recipe

RECIPE = Path(__file__).parents[3] / "training" / "recipes" / "siamfcpp_light.toml"


def changed(recipe: Path, out: Path, **values: object) -> Path:
    """The recipe with other values; strings as they stand in TOML."""
    text = recipe.read_text()
    for key, value in values.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1, key
    out.write_text(text)
    return out


@pytest.fixture(scope="module")
def recipe(shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped recipe on the drawn data, with four steps of four pairs."""
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE.read_text().replace("$LOCKON_SHARED/data/train", str(shards)))
    return changed(path, path, steps=4, batch=4, frozen_steps=1, warmup_steps=1, decay_steps=3)


@pytest.fixture(scope="module")
def trained(recipe: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The last checkpoint of an uninterrupted run."""
    return train(recipe, tmp_path_factory.mktemp("run"))


def assert_same_weights(one: Path, other: Path) -> None:
    """Of the network and of their average, bit for bit, after the same number of steps."""
    first, second = checkpoint.load(one), checkpoint.load(other)
    assert first["step"] == second["step"]
    for part in ("network", "average"):
        assert first[part].keys() == second[part].keys()
        for key, value in second[part].items():
            assert torch.equal(first[part][key], value), f"{part}: {key}"


def test_a_run_that_was_stopped_goes_on_to_the_same_weights(recipe: Path, trained: Path, tmp_path: Path) -> None:
    train(recipe, tmp_path, steps=2)
    assert_same_weights(train(recipe, tmp_path, resume=True), trained)


def test_pairs_drawn_by_processes_teach_the_same(recipe: Path, trained: Path, tmp_path: Path) -> None:
    assert_same_weights(train(changed(recipe, tmp_path / "workers.toml", workers=2), tmp_path / "run"), trained)


def in_another_process(recipe: Path, out: Path) -> subprocess.Popen[bytes]:
    """A run in a process of its own that has written its first checkpoint."""
    program = "import sys, pathlib, torch, training.fit; torch.set_num_threads(int(sys.argv[3]));"
    program += "training.fit.train(*map(pathlib.Path, sys.argv[1:3]))"
    arguments = [sys.executable, "-c", program, str(recipe), str(out), str(torch.get_num_threads())]
    process = subprocess.Popen(arguments, cwd=RECIPE.parents[2], stdout=subprocess.PIPE, start_new_session=True)
    while not (out / checkpoint.LAST).exists():
        with pytest.raises(subprocess.TimeoutExpired):  # it lives
            process.wait(0.02)
    return process


def test_a_run_goes_on_to_the_same_weights_whenever_it_was_killed(recipe: Path, tmp_path: Path) -> None:
    often = changed(recipe, tmp_path / "often.toml", steps=5, decay_steps=4, checkpoint_every=1)
    with in_another_process(often, tmp_path / "killed") as killed:
        killed.kill()
    resumed = train(often, tmp_path / "killed", resume=True)
    assert_same_weights(resumed, train(often, tmp_path / "whole"))


def test_a_run_that_is_asked_to_end_leaves_a_checkpoint_of_its_last_step(recipe: Path, tmp_path: Path) -> None:
    endless = changed(recipe, tmp_path / "endless.toml", steps=1_000_000, checkpoint_every=3)
    with in_another_process(endless, tmp_path / "run") as asked:
        asked.send_signal(signal.SIGTERM)
        assert asked.wait() == 0
    content = checkpoint.load(tmp_path / "run" / checkpoint.LAST)
    assert content["pairs"] == content["step"] * 4


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_all_processes_of_a_run_leaves_a_checkpoint_too(
    recipe: Path, tmp_path: Path, number: signal.Signals
) -> None:
    """As a terminal, systemd and batch systems send it."""
    endless = changed(recipe, tmp_path / "endless.toml", steps=1_000_000, checkpoint_every=3, workers=2)
    with in_another_process(endless, tmp_path / "run") as asked:
        os.killpg(asked.pid, number)
        assert asked.wait() == 0
    content = checkpoint.load(tmp_path / "run" / checkpoint.LAST)
    assert content["pairs"] == content["step"] * 4


def test_the_workers_of_a_run_that_was_killed_end_with_it(recipe: Path, tmp_path: Path) -> None:
    endless = changed(recipe, tmp_path / "endless.toml", steps=1_000_000, checkpoint_every=1, workers=2)
    with in_another_process(endless, tmp_path / "run") as killed:
        killed.kill()
        assert killed.stdout is not None
        assert killed.stdout.read() == b""  # whose end comes when nobody holds it any more


def test_a_folder_that_holds_a_run_takes_no_other_one(recipe: Path, trained: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"run\d+: holds a run of 4 steps: --resume, or another --out"):
        train(recipe, trained.parent)


def test_a_run_needs_no_git(recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert checkpoint.load(train(recipe, tmp_path / "run", steps=1))["commit"] == "unknown"


def test_a_run_begins_with_the_averaged_weights_of_another_and_counts_its_pairs(
    recipe: Path, trained: Path, tmp_path: Path
) -> None:
    still = changed(recipe, tmp_path / "still.toml", start=f'"{trained}"', learning_rate=0.0)
    first, second = checkpoint.load(trained), checkpoint.load(train(still, tmp_path / "run", steps=1))
    key = "head.fuse.0.0.weight"
    assert torch.equal(second["network"][key], first["average"][key])
    assert not torch.equal(second["network"][key], first["network"][key])
    assert (first["pairs"], second["pairs"], second["step"]) == (16, 20, 1)
    assert [stage["recipe"]["fit"]["start"] for stage in second["stages"]] == ["", str(trained)]


def test_a_run_begins_with_the_weights_of_a_package(recipe: Path, tmp_path: Path) -> None:
    shipped = find_package("siamfcpp_light")
    still = changed(recipe, tmp_path / "still.toml", start=f'"{shipped.folder}"', learning_rate=0.0)
    content = checkpoint.load(train(still, tmp_path / "run", steps=1))
    key = "head.fuse.0.0.weight"
    assert torch.equal(content["network"][key], load_file(shipped.file(WEIGHTS))[key])
    assert content["pairs"] == 4


def test_a_changed_recipe_is_told_in_the_checkpoint(recipe: Path, tmp_path: Path) -> None:
    train(recipe, tmp_path / "run", steps=1)
    slower = changed(recipe, tmp_path / "slower.toml", learning_rate=1e-5)
    content = checkpoint.load(train(slower, tmp_path / "run", resume=True, steps=2))
    assert [(stage["from_step"], stage["recipe"]["fit"]["learning_rate"]) for stage in content["stages"]] == [
        (0, 2e-3),
        (1, 1e-5),
    ]
    assert content["optimiser"]["param_groups"][-1]["base_rate"] == 1e-5
    assert json.loads((tmp_path / "run" / "recipe.json").read_text()) == content["recipe"]


def test_numbers_that_are_none_end_the_run_and_their_batch_is_kept(recipe: Path, trained: Path, tmp_path: Path) -> None:
    content = checkpoint.load(trained)
    content["average"]["head.score.bias"].fill_(float("nan"))
    poisoned = checkpoint.save(tmp_path / "poisoned.pt", content)
    broken = changed(recipe, tmp_path / "broken.toml", start=f'"{poisoned}"')
    with pytest.raises(TrainingFailed, match=r"step 0: the loss is nan; its batch is .*bad-batch\.pt"):
        train(broken, tmp_path / "run")
    batch = torch.load(tmp_path / "run" / "bad-batch.pt")
    assert batch["step"] == 0
    assert batch["searches"].shape == (4, 208, 208, 3)
    assert batch["boxes"].shape == (4, 4)


def test_averaged_weights_are_kept_on_the_way_with_all_that_a_package_tells(recipe: Path, tmp_path: Path) -> None:
    keeping = changed(recipe, tmp_path / "keeping.toml", snapshot_every=2, checkpoint_every=2)
    last = checkpoint.load(train(keeping, tmp_path / "run"))
    kept = sorted((tmp_path / "run").glob("average-*.pt"))
    assert [path.name for path in kept] == ["average-00000002.pt", "average-00000004.pt"]
    content = checkpoint.load(kept[-1])
    assert torch.equal(content["average"]["head.score.bias"], last["average"]["head.score.bias"])
    assert content["recipe"] == last["recipe"]
    assert "optimiser" not in content
    assert origin(checkpoint.load(kept[0]))["pairs"] == 8


def test_a_run_tells_its_pace_and_losses(recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(recipe, tmp_path, steps=2)
    told = capsys.readouterr().err
    assert re.search(
        r"step 2/4  [\d.]+ pairs/s  data wait \d+%  loss [\d.]+ \(score [\d.]+, box [\d.]+\)  IoU [\d.]+  "
        r"gradient [\d.]+  rate 1  memory [\d.]+ GB  \d+ min left",
        told,
    ), told


def test_training_changes_the_deep_half_of_the_backbone_only_after_it_is_unfrozen(
    trained: Path, recipe: Path, tmp_path: Path
) -> None:
    early, late = checkpoint.load(train(recipe, tmp_path, steps=1))["network"], checkpoint.load(trained)["network"]
    shallow, deep = "backbone._blocks.2._project_conv.weight", "backbone._blocks.10._project_conv.weight"
    assert torch.equal(early[shallow], late[shallow])
    assert not torch.equal(early[deep], late[deep])


def test_a_package_may_have_the_mean_of_several_checkpoints(trained: Path, recipe: Path, tmp_path: Path) -> None:
    early = train(recipe, tmp_path / "early", steps=1)
    package = export(trained, tmp_path / "mine", formats=[GraphFormat.TORCHSCRIPT], mean_with=[early]).package
    states = [checkpoint.load(path)["average"] for path in (early, trained)]
    weights = load_file(package.file("weights.safetensors"))
    for key in ("head.score.weight", "neck.lateral.1.running_var"):
        torch.testing.assert_close(weights[key], (states[0][key] + states[1][key]) / 2)
    assert package.origin["mean_of_steps"] == [1, checkpoint.load(trained)["step"]]


def test_a_checkpoint_may_look_less_far_around_than_it_learned_to(trained: Path, recipe: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed.toml"
    learned = read_recipe(recipe).trained_model.crop
    changed.write_text(recipe.read_text().replace(f"search_size = {learned.search_size}", "search_size = 176"))
    crop = export(trained, tmp_path / "mine", formats=[GraphFormat.TORCHSCRIPT], recipe=changed).package.spec.crop
    assert (crop.search_size, crop.template_size) == (176, learned.template_size)
    changed.write_text(recipe.read_text().replace(f"template_size = {learned.template_size}", "template_size = 96"))
    with pytest.raises(ExportFailed, match="the recipe is of another network"):
        export(trained, tmp_path / "other", recipe=changed)


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
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    frame = np.asarray(cv2.GaussianBlur(noise, (0, 0), 4), np.uint8)
    target = tracker.start(frame, Box(100, 80, 60, 50))
    estimate = tracker.follow(target, frame)
    assert estimate.box.is_finite()
    assert 0 <= estimate.score <= 1
