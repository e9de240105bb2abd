"""What parts of a recipe are worth, disturbances of the pairs above all: short runs of it with and without each.

    python -m tests.benchmarks.recipe_changes FOLDER --recipe training/recipes/siamfcpp_tiny.toml --out runs/changes \\
        --with 'precision="bfloat16"'

trains the recipe as it is, and once for each change, from each of `--seeds` for `--steps` steps, and prints, as
Markdown, the success AUC over the sequences in FOLDER: for each seed the mean of passes from first boxes beside the
true one. What was trained lies in OUT and is not trained again; a run that was stopped goes on.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from models.package import load_tracker
from tests.benchmarks.starts import half_aucs, starts
from training.evaluation.metrics import mean_scores
from training.evaluation.ope import ModelTracker, Run, evaluate
from training.evaluation.report import Halves
from training.evaluation.sequences import Sequence as Labelled
from training.evaluation.sequences import read_sequences
from training.export import export

CHANGES: Mapping[str, Mapping[str, str]] = {
    "as it is": {},
    "no low resolution": {"low_resolution_share": "0.0"},
    "no foreign surroundings": {"background_share": "0.0"},
    "turned, other shapes, a quarter of them much": {"rotation": "6.0", "aspect": "0.15", "deformed_share": "0.25"},
    "transplanted targets, negatives of the same class": {"transplant_share": "0.12", "same_class_share": "0.3"},
    "no distractors, no occluders": {"distractor_share": "0.0", "occluder_share": "0.0"},
    "stills alone": {"track_share": "0.0"},
    "tracks alone": {"track_share": "1.0"},
    "three in ten are negatives": {"negative_share": "0.3"},
    "the last weights, no mean": {"ema_decay": "0.0"},
    "crops a fifth larger": {"template_size": "96", "search_size": "192"},
    "a third more channels": {"channels": "[64]"},
    "towers of one layer": {"tower": "[true]"},
}
"""Values of the recipe that differ, by what they do; sizes are given for `siamfcpp_tiny`."""
WARM_UP_STEPS = 100


def changed(recipe: str, values: Mapping[str, str]) -> str:
    """The recipe's text with other values: of a line, else within one; a key that it lacks is written in [augment]."""
    for key, value in values.items():
        for place in (rf"^{key} = .*$", rf"\b{key} = (\[[^\]]*\]|[^,}}\n]*[^,}}\s])"):
            recipe, count = re.subn(place, f"{key} = {value}", recipe, flags=re.MULTILINE)
            if count:
                break
        else:
            recipe = recipe.replace("[augment]\n", f"[augment]\n{key} = {value}\n")
    return recipe


def trained(recipe: str, out: Path, processes: int) -> Path:
    """The package of the recipe's run in `out`, which is begun, continued or found there."""
    package = out / "package"
    if package.is_dir():
        return package
    out.mkdir(parents=True, exist_ok=True)
    path = out / "recipe.toml"
    path.write_text(recipe)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command = [*launcher, "--no-python", "lockon", "train", str(path), "--out", str(out)]
    resumed = ["--resume"] if (out / "last.pt").is_file() else []
    with (out / "train.log").open("a") as log:
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([*command, *resumed], check=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
    return export(out / "last.pt", package).package.folder


def passes(package: Path, sequences: Sequence[Labelled], count: int) -> list[list[Run]]:
    """All passes over the sequences."""
    tracker = load_tracker(str(package))
    return list(evaluate(starts(lambda: ModelTracker(tracker), "pass", count), sequences).values())


def row(label: str, seeds: Sequence[Sequence[Sequence[Run]]], halves: Halves) -> str:
    """A line of the table: each seed's mean, then that of all passes and of the halves."""
    each = [np.mean([mean_scores([run.scores for run in runs]).auc for runs in seed]) for seed in seeds]
    tuning, held_out = half_aucs([runs for seed in seeds for runs in seed], halves)
    found = ", ".join(f"{auc:.3f}" for auc in each)
    return f"| {label} | {found} | {np.mean(each):.3f} | {tuning:.3f} | {held_out:.3f} |"


def main() -> None:
    """Prints a row for each change as soon as its runs are judged."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--recipe", type=Path, required=True)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument("--steps", type=int, default=1000)
    options.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    options.add_argument("--starts", type=int, default=4)
    options.add_argument("--processes", type=int, default=2)
    options.add_argument("--with", dest="others", nargs="*", default=[], metavar="KEY=VALUE", help="lines of all runs")
    options.add_argument("--changes", nargs="+", choices=list(CHANGES), default=list(CHANGES))
    chosen = options.parse_args()
    common = {"steps": str(chosen.steps), "warmup_steps": str(WARM_UP_STEPS)}
    common |= {"decay_steps": str(chosen.steps - WARM_UP_STEPS), "snapshot_every": "0"}
    common |= dict(line.split("=", 1) for line in chosen.others)
    recipe = changed(chosen.recipe.read_text(), common)
    sequences = read_sequences(chosen.folder)
    halves = Halves.of(sequence.name for sequence in sequences)
    print("| change | each seed | mean | tuning half | held-out half |\n" + "| --- " * 5 + "|", flush=True)  # noqa: T201
    for name in chosen.changes:
        seeds = []
        for seed in chosen.seeds:
            folder = chosen.out / re.sub(r"\W+", "-", name) / str(seed)
            package = trained(changed(recipe, {**CHANGES[name], "seed": str(seed)}), folder, chosen.processes)
            seeds.append(passes(package, sequences, chosen.starts))
        print(row(name, seeds, halves), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
