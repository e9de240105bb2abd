"""`lockon export`: from a checkpoint, or a package that has weights, to a model package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from models.runtimes.kinds import GraphFormat
from service.commands.failures import CommandFailed, reported, require_train_extra


def export(
    source: Annotated[str, typer.Argument(help="Checkpoint of `lockon train`, or a package by name or folder.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder of the package; by default the source package's own.")
    ] = None,
    formats: Annotated[
        list[GraphFormat] | None,
        typer.Option("--format", "-f", help="Graphs to write, ONNX by default; may be given several times."),
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option("--frames", help="Folder of pictures to check the graphs on.", exists=True, file_okay=False),
    ] = None,
    scores: Annotated[
        Path | None,
        typer.Option("--scores", help="JSON of `lockon evaluate`, whose means the package states.", dir_okay=False),
    ] = None,
    mean_with: Annotated[
        list[Path] | None,
        typer.Option(
            "--mean-with",
            help="Another checkpoint of the run: the weights become the mean of all; may be given several times.",
            exists=True,
            dir_okay=False,
        ),
    ] = None,
    recipe: Annotated[
        Path | None,
        typer.Option(
            "--recipe", help="Recipe whose loop and presence constants replace the checkpoint's.", exists=True
        ),
    ] = None,
) -> None:
    """Write a model package: manifest, weights, and the two graphs in each format, checked against the network."""
    with reported():
        require_train_extra("export")
        measured = _means(scores) if scores else {}
    from models.package import PackageInvalid, available, find_package

    if not Path(source).exists() and source not in available():
        raise typer.BadParameter(f"there is no checkpoint or package {source}", param_hint="SOURCE")
    from models.runtimes.base import GraphInvalid
    from models.spec import SpecInvalid
    from training.export import ExportFailed, export_package
    from training.export import export as export_checkpoint

    with reported(PackageInvalid, SpecInvalid, ExportFailed, GraphInvalid, ValueError):
        chosen = formats or [GraphFormat.ONNX]
        if Path(source).is_file():
            if out is None:
                raise CommandFailed("a checkpoint needs --out, the folder of its package")
            exported = export_checkpoint(
                Path(source),
                out,
                formats=chosen,
                frames=frames,
                scores=measured,
                recipe=recipe,
                mean_with=mean_with or (),
            )
        else:
            if scores or recipe or mean_with:
                raise CommandFailed("--scores, --recipe and --mean-with go with a checkpoint; a package has its own")
            package = find_package(source)
            exported = export_package(package, out or package.folder, formats=chosen, frames=frames)
    for kind, difference in exported.differences.items():
        typer.echo(f"{exported.package.folder}: {kind} graphs differ from the network by at most {difference}")


def _means(path: Path) -> dict[str, Any]:
    """The numbers of an evaluation that a manifest states."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"))
        halves = {f"{half}_auc": report[half]["auc"] for half in ("tuning_half", "held_out_half") if report[half]}
        times = ("wall_ms", "cpu_ms")  # of one machine on one day: no property of the model
        return {key: value for key, value in report["mean"].items() if key not in times} | halves
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandFailed(f"{path}: is no JSON of `lockon evaluate`: {error!r}") from error
