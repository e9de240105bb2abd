"""A file that is no whole checkpoint, or of another network, is one error that names it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from models.importing.checkpoints import CheckpointInvalid
from models.package import DEFAULT_MODEL, find_package
from tests.unit.training.short_runs import changed
from training import checkpoint
from training.export import ExportFailed, export
from training.fit import TrainingFailed, train


@pytest.fixture
def run(short: Path, tmp_path: Path) -> Path:
    """The folder of a run of one step."""
    return train(short, tmp_path / "run", steps=1).parent


@pytest.mark.parametrize(
    "cut",
    [
        lambda content: b"",
        lambda content: b'name = "recipe"\n',
        lambda content: b"hello world\n",
        lambda content: content[:100],
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content[:2000] + bytes(2000) + content[4000:],
    ],
    ids=["empty", "TOML", "text", "a beginning", "a half", "all but the last byte", "zeros in it"],
)
def test_a_file_that_is_no_whole_checkpoint_is_named(run: Path, short: Path, cut: Callable[[bytes], bytes]) -> None:
    last = run / checkpoint.LAST
    last.write_bytes(cut(last.read_bytes()))
    for use in (
        lambda: checkpoint.load(last),
        lambda: train(short, run, resume=True),
        lambda: train(changed(short, start=f'"{last}"'), run.with_name("other")),
        lambda: export(last, run.with_name("package")),
    ):
        with pytest.raises(CheckpointInvalid, match=r"run/last\.pt: is no checkpoint of a training run"):
            use()


def test_a_file_of_torch_that_is_no_checkpoint_of_ours_is_named(run: Path, short: Path) -> None:
    last = run / checkpoint.LAST
    kept = {key: value for key, value in checkpoint.load(last).items() if key != "optimiser"}
    checkpoint.save(last, kept)
    assert checkpoint.load(last)["step"] == 1
    with pytest.raises(CheckpointInvalid, match=r"last\.pt: .* lacks 'optimiser'"):
        train(short, run, resume=True)
    checkpoint.save(last, {"state_dict": torch.zeros(1)})
    with pytest.raises(CheckpointInvalid, match=r"last\.pt: .* lacks 'step'"):
        checkpoint.load(last)
    torch.save([1], last)
    with pytest.raises(CheckpointInvalid, match=r"last\.pt: .* lacks 'step'"):
        checkpoint.load(last)


def test_a_checkpoint_of_another_network_is_refused(run: Path, short: Path) -> None:
    other = changed(short, model='{ variant = "siamfcpp_alexnet" }')
    told = r"last\.pt: holds weights of another network than the recipe's, .*siamfcpp_alexnet"
    with pytest.raises(TrainingFailed, match=told):
        train(other, run, resume=True)
    with pytest.raises(TrainingFailed, match=told):
        train(changed(other, start=f'"{run / checkpoint.LAST}"'), run.with_name("other"))
    package = find_package(DEFAULT_MODEL).folder
    with pytest.raises(TrainingFailed, match=f"{DEFAULT_MODEL}: holds weights of another network"):
        train(changed(short, start=f'"{package}"'), run.with_name("another"))


def test_a_checkpoint_whose_parts_learned_in_other_groups_is_refused(run: Path, short: Path) -> None:
    regrouped = short.with_name("regrouped.toml")
    head, _, rest = short.read_text().partition("groups = [")
    regrouped.write_text(head + 'groups = [{ modules = ["head"] }]\n' + rest.partition("\n]\n")[2])
    with pytest.raises(TrainingFailed, match=r"last\.pt: does not fit the groups that the recipe lets learn"):
        train(regrouped, run, resume=True)


def test_the_mean_of_two_networks_is_refused(run: Path) -> None:
    content = checkpoint.load(run / checkpoint.LAST)
    content["average"] |= {"one.more": torch.zeros(1)}
    other = checkpoint.save(run / "other.pt", content)
    with pytest.raises(ExportFailed, match=r"other\.pt: holds weights of another network than .*last\.pt"):
        export(run / checkpoint.LAST, run / "package", mean_with=[other])
