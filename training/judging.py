"""Tries checkpoints on sequences while the run goes on, and keeps the best of them."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from models.networks import build
from models.runtimes.torch import TorchRuntime
from models.tracker import Tracker
from training import checkpoint
from training.evaluation.metrics import mean_scores
from training.evaluation.ope import evaluate_model
from training.evaluation.sequences import read_sequences, write_boxes
from training.recipe import Recipe

FOLDER = "judged"
SCORES = "scores.json"
HASH_DIGITS = 8


class Judge:
    """Runs averaged weights over the recipe's sequences: one pass from the first true box, by success AUC."""

    def __init__(self, recipe: Recipe, out: Path, device: torch.device) -> None:
        """Raises SequenceInvalid if there are no sound sequences, before any step is made."""
        assert recipe.judge is not None
        self._recipe, self._judge, self._out, self._device = recipe, recipe.judge, out, device
        self._sequences = read_sequences(Path(os.path.expandvars(recipe.judge.folder)))

    def wants(self, step: int) -> bool:
        """Whether the weights after `step` steps end an epoch that is judged."""
        epoch, within = divmod(step, self._recipe.fit.epoch_steps)
        return within == 0 and self._judge.first_epoch <= epoch <= self._judge.last_epoch

    def lacks(self, step: int) -> bool:
        """Whether the weights after `step` steps are to be judged and have no scores yet."""
        return self.wants(step) and all(entry["step"] != step for entry in read_scores(self._out))

    def try_out(self, step: int, content: Mapping[str, Any]) -> str:
        """Judges what is kept of a checkpoint; writes its boxes, its scores and, if it is the best so far, itself as
        `best-<hash>.pt`. Returns a line for the log."""
        network = build(self._recipe.model)
        network.load_state_dict(content["average"])
        began = time.perf_counter()
        runtime = TorchRuntime.of(network, self._recipe.model, str(self._device))
        runs = evaluate_model(Tracker(self._recipe.model, runtime), self._sequences)
        for run in runs:
            write_boxes(self._out / FOLDER / f"{step:08d}" / f"{run.sequence}.txt", run.boxes)
        frames = sum(len(run.boxes) - 1 for run in runs)
        seconds = sum((len(run.boxes) - 1) * (run.wall_ms or 0.0) / 1000 for run in runs)
        entry = {
            "step": step,
            "epoch": step // self._recipe.fit.epoch_steps,
            **asdict(mean_scores(run.scores for run in runs)),
            "frames_per_s": frames / seconds,
        }
        others = [judged for judged in read_scores(self._out) if judged["step"] != step]
        best = all(entry["auc"] > judged["auc"] for judged in others)
        entry["best"] = self._keep(content) if best else None
        text = json.dumps(sorted([*others, entry], key=lambda judged: judged["step"]), indent=1)
        checkpoint.save_text(self._out / FOLDER / SCORES, text)
        return (
            f"judged after step {step}: success {entry['auc']:.4f}, precision {entry['precision20']:.4f}, "
            f"{entry['frames_per_s']:.1f} frames/s, {time.perf_counter() - began:.0f} s"
            + (f"; the best so far, {entry['best']}" if best else "")
        )

    def _keep(self, content: Mapping[str, Any]) -> str:
        """Replaces the best checkpoint; returns its name."""
        path = checkpoint.save(self._out / "best.pt", dict(content))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:HASH_DIGITS]
        for old in self._out.glob("best-*.pt"):
            old.unlink()
        return path.replace(self._out / f"best-{digest}.pt").name


def read_scores(out: Path) -> list[dict[str, Any]]:
    """What was judged in a run's folder, in order; empty if nothing was."""
    path = out / FOLDER / SCORES
    if not path.is_file():
        return []
    scores: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    return scores
