"""`lockon train`: a training run from a recipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from service.commands.failures import reported, require_train_extra


def train(
    recipe: Annotated[Path, typer.Argument(help="Recipe, a TOML file; see training/recipes.", dir_okay=False)],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder for checkpoints and logs, which holds no run but one to --resume; runs/<recipe> if not given.",
        ),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the folder.")] = False,
) -> None:
    """Train a model from a recipe. A run that was stopped goes on with --resume, to the same weights.

    Several GPUs or machines: torchrun --nproc-per-node 4 --no-python lockon train RECIPE. Each process has its share of
    every batch; the first one writes checkpoints, logs and, at the end, report.html. All must see the folder."""
    with reported():
        require_train_extra("train")
        recipe.stat()  # a wrong path is told at once: torch takes seconds to load
    from models.spec import SpecInvalid
    from training.fit import TrainingFailed
    from training.fit import train as run

    with reported(SpecInvalid, TrainingFailed, ValueError):
        last = run(recipe, out or Path("runs") / recipe.stem, resume=resume)
    if os.environ.get("RANK", "0") == "0":  # torchrun's: the others have written nothing
        typer.echo(last)
