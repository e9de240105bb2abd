"""`lockon export`: from a checkpoint to a model package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from service.commands.failures import CommandFailed, reported, require_train_extra


def export(
    checkpoint: Annotated[Path, typer.Argument(help="Checkpoint of `lockon train`.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the package.")],
    scores: Annotated[
        Path | None,
        typer.Option("--scores", help="JSON of `lockon evaluate`, whose means the package states.", dir_okay=False),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", help="Recipe whose loop and presence constants replace the checkpoint's.", exists=True
        ),
    ] = None,
) -> None:
    """Write a checkpoint as a model package: manifest, weights and the two graphs, checked against the network."""
    with reported():
        require_train_extra()
        measured = _means(scores) if scores else {}
    from models.package import PackageInvalid
    from models.spec import SpecInvalid
    from training.export import ExportFailed
    from training.export import export as run

    with reported(PackageInvalid, SpecInvalid, ExportFailed, ValueError):
        exported = run(checkpoint, out, scores=measured, recipe=recipe)
    typer.echo(f"{exported.package.folder}: graphs differ from the network by at most {exported.difference:.2g}")


def _means(path: Path) -> dict[str, Any]:
    """The numbers of an evaluation that a manifest states."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        halves = {f"{half}_auc": report[half]["auc"] for half in ("tuning_half", "held_out_half") if report[half]}
        times = ("wall_ms", "cpu_ms")  # of one machine on one day: no property of the model
        return {key: value for key, value in report["mean"].items() if key not in times} | halves
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandFailed(f"{path}: is no JSON of `lockon evaluate`: {error!r}") from error
