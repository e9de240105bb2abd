"""Checkpoints are tried on sequences while a run goes on, the best is kept; a run ends with a report."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from models.networks import build
from models.spec import ModelSpec, SpecInvalid
from tests.unit.training.short_runs import changed
from training import checkpoint, judging
from training.evaluation.sequences import SequenceInvalid, read_boxes
from training.fit import train
from training.judging import read_scores
from training.progress import LOG, read_log
from training.recipe import read_recipe


@pytest.fixture
def sequences(tmp_path: Path) -> Path:
    """Two sequences of four frames with a patch that moves."""
    rng = np.random.default_rng(2)
    for name in ("left", "right"):
        frames = tmp_path / "sequences" / name / "img"
        frames.mkdir(parents=True)
        for number in range(4):
            frame = rng.integers(90, 140, (160, 200, 3), np.uint8)
            frame[60:90, 80 + 2 * number : 120 + 2 * number] = 30
            cv2.imwrite(str(frames / f"{number:04d}.jpg"), frame)
        boxes = "".join(f"{80 + 2 * number},60,40,30\n" for number in range(4))
        (frames.parent / "groundtruth.txt").write_text(boxes)
    return tmp_path / "sequences"


def judged(recipe: Path, folder: Path, first: int, last: int) -> Path:
    path = recipe.with_name("judged.toml")
    table = f'\n[judge]\nfolder = "{folder}"\nfirst_epoch = {first}\nlast_epoch = {last}\n'
    path.write_text(recipe.read_text() + table)
    return path


def test_epochs_are_judged_as_they_end_and_the_best_is_kept_by_its_hash(
    short: Path, sequences: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe, out = judged(short, sequences, 2, 3), tmp_path / "run"
    train(recipe, out, steps=4)
    assert [entry["step"] for entry in read_scores(out)] == [4]
    train(recipe, out, resume=True)
    scores = read_scores(out)
    assert [(entry["epoch"], entry["step"]) for entry in scores] == [(2, 4), (3, 6)]
    assert all(entry["frames_per_s"] > 0 and 0 <= entry["auc"] <= 1 for entry in scores)
    told = capsys.readouterr().err
    assert f"judged after step 4: success {scores[0]['auc']:.4f}" in told
    (best,) = out.glob("best-*.pt")
    assert best.stem == f"best-{hashlib.sha256(best.read_bytes()).hexdigest()[:8]}"
    content = checkpoint.load(best)
    winner = max(scores, key=lambda entry: (entry["auc"], -entry["step"]))
    assert content["step"] == winner["step"]
    assert winner["best"] == best.name
    build(ModelSpec.from_json(content["recipe"]["model"])).load_state_dict(content["average"])
    for step in (4, 6):
        for name in ("left", "right"):
            assert read_boxes(out / "judged" / f"{step:08d}" / f"{name}.txt").shape == (4, 4)


class Killed(BaseException):
    """What no code catches, as nothing catches a kill."""


def test_what_a_kill_after_a_checkpoint_left_out_is_made_up_for(
    short: Path, sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, out = judged(short, sequences, 1, 1), tmp_path / "run"

    def kill(*arguments: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(judging, "evaluate_model", kill)
        with pytest.raises(Killed):
            train(recipe, out)
    assert checkpoint.load(out / checkpoint.LAST)["step"] == 2
    train(recipe, out, resume=True)
    assert [entry["step"] for entry in read_scores(out)] == [2]
    assert len(list(out.glob("best-*.pt"))) == 1
    train(recipe, out, resume=True)  # nothing is left to do
    assert [entry["step"] for entry in read_scores(out)] == [2]


def test_a_kill_while_a_copy_is_kept_loses_none(short: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save = checkpoint.save

    def killed(path: Path, content: dict[str, Any]) -> Path:
        if path.name == "average-00000004.pt":
            raise Killed
        return save(path, content)

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "save", killed)
        with pytest.raises(Killed):
            train(short, tmp_path / "run")
    train(short, tmp_path / "run", resume=True)
    kept = sorted(path.name for path in (tmp_path / "run").glob("average-*.pt"))
    assert kept == [f"average-{step:08d}.pt" for step in (2, 4, 6)]


def test_a_log_whose_last_line_was_cut_short_goes_on(short: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(short, out, steps=3)
    log = out / LOG
    log.write_text(log.read_text() + '{"step": 4, "tot')
    train(short, out, resume=True)
    assert [entry["step"] for entry in read_log(out)] == [3, 6]
    log.write_text("{\n" + log.read_text())
    with pytest.raises(ValueError, match=r"log\.jsonl, line 1: "):
        read_log(out)


def test_a_run_ends_with_a_report(short: Path, sequences: Path, tmp_path: Path) -> None:
    recipe, out = judged(short, sequences, 3, 3), tmp_path / "run"
    train(recipe, out)
    page = (out / "report.html").read_text()
    (score,) = read_scores(out)
    for text in (score["best"], f"{score['auc']:.4g}", "peak_memory_gb", "siamfcpp_tinyconv", "curves.png"):
        assert text in page, text
    assert "http" not in page
    curves = cv2.imread(str(out / "curves.png"))
    assert curves is not None
    assert np.ptp(curves) > 0


def test_the_log_goes_on_where_a_run_was_resumed(short: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    train(short, out, steps=3)
    content = checkpoint.load(out / checkpoint.LAST)
    train(short, out, steps=4, resume=True)
    assert [entry["step"] for entry in read_log(out)] == [3, 4]
    # As after a kill: the log is ahead of the checkpoint.
    checkpoint.save(out / checkpoint.LAST, content)
    train(short, out, resume=True)
    entries = read_log(out)
    assert [entry["step"] for entry in entries] == [3, 6]
    assert entries[0].keys() >= {"total", "score", "box", "centreness", "iou", "rate", "pairs_per_s", "data_wait"}


def test_a_benchmark_that_is_missing_ends_the_run_before_it_begins(short: Path, tmp_path: Path) -> None:
    with pytest.raises(SequenceInvalid, match="no such folder"):
        train(judged(short, tmp_path / "nothing", 1, 1), tmp_path / "run")


def test_an_impossible_judge_or_variant_is_refused(short: Path, tmp_path: Path) -> None:
    with pytest.raises(SpecInvalid, match="1 <= first_epoch <= last_epoch"):
        read_recipe(judged(short, tmp_path, 3, 2))
    with pytest.raises(SpecInvalid, match="variant alone, one of siamfcpp_alexnet"):
        read_recipe(changed(short, model='{ variant = "siamfcpp_vgg" }'))
