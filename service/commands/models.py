"""`lockon models`: which models are there, what each one is, and how foreign checkpoints become some."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.failures import reported, require_train_extra
from service.commands.serve import Config

if TYPE_CHECKING:
    from models.package import ModelPackage

app = typer.Typer(help="List the models that are at hand, show one, or import one.", invoke_without_command=True)


@app.callback()
def listing(context: typer.Context, config: Config = None) -> None:
    """List the models that are at hand; `show NAME` tells more of one, `import FILE` makes one of a checkpoint."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table

    from models.package import DEFAULT_MODEL, DUMMY, PackageInvalid, available, read_package
    from models.runtimes.dummy import DUMMY_SPEC
    from service.settings import SettingsInvalid

    table = Table()
    for heading in ("name", "family", "input", "size", "licence", "success AUC"):
        # Names are there to be copied, however narrow the terminal is.
        table.add_column(heading, no_wrap=heading in ("name", "licence"))
    with reported(PackageInvalid, SettingsInvalid):
        for name, folder in available(_folders(config)).items():
            package = read_package(folder)
            table.add_row(f"{name}\n(default)" if name == DEFAULT_MODEL else name, *_facts(package))
    side = DUMMY_SPEC.crop.search_size
    table.add_row(DUMMY, "template matching", f"{side} x {side}", "no weights", "Apache-2.0", "for tests")
    Console().print(table)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a model, or the path of a package's folder.")],
    config: Config = None,
) -> None:
    """Show everything that a model's manifest says, and what is measured of it on this machine, as JSON."""
    from models.package import DUMMY, PackageInvalid, find_package
    from models.runtimes.dummy import DUMMY_SPEC
    from service.settings import SettingsInvalid

    if name == DUMMY:
        facts = {"name": DUMMY, "spec": DUMMY_SPEC.to_json()}
    else:
        with reported(PackageInvalid, SettingsInvalid):
            package = find_package(name, _folders(config))
        facts = {
            "name": package.name,
            "version": package.version,
            "folder": str(package.folder),
            "files": {file: path.stat().st_size for file, path in package.files.items()},
            "scores": dict(package.scores),
            "origin": dict(package.origin),
            "spec": package.spec.to_json(),
            "measured": _measured(str(package.folder), config),
        }
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))


@app.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="Checkpoint (torch, safetensors, .npz), or backbone.onnx and head.onnx."),
    ],
    variant: Annotated[
        str | None, typer.Option("--as", help="The variant that it is; found by its names and shapes if not given.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the model; the variant's if not given.")] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Folder that gets the package: the first of models.folders if not given, else packages/.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older package of that name.")] = False,
    config: Config = None,
) -> None:
    """Make a model of a published checkpoint: pysot, DaSiamRPN, video_analyst, mmtracking, NanoTrack and their ports.

    Nothing in the file is run. Weights that do not fit are refused, with what is missing or left over."""
    from service.settings import SettingsInvalid, load_settings

    with reported(SettingsInvalid):
        require_train_extra("models import")
        folder = out or next(iter(load_settings(config=config).models.folders), Path("packages"))
    from models.importing import import_checkpoint
    from models.importing.checkpoints import CheckpointInvalid
    from models.importing.loading import ImportRefused
    from models.package import PackageInvalid

    with reported(ImportRefused, CheckpointInvalid, PackageInvalid):
        imported = import_checkpoint(files, folder, variant=variant, name=name, replace=force)
    found = "" if variant else ", found by its names and shapes"
    typer.echo(f"{imported.package.folder}: {imported.variant}{found}")
    if imported.siblings:
        typer.echo(f"the same weights run with other constants --as {', '.join(imported.siblings)}")
    if imported.difference is not None:
        typer.echo(f"graphs differ from the network by at most {imported.difference}")
    typer.echo(f"serve it: lockon serve --model {imported.package.folder}")


def _folders(config: Path | None) -> list[Path]:
    """Where packages lie, as the server looks for them."""
    from models.package import ZOO
    from service.settings import load_settings

    return [*load_settings(config=config).models.folders, ZOO]


def _measured(source: str, config: Path | None) -> dict[str, Any] | str:
    """What the server would find when it loads the package, or why it could not."""
    from service.app import package_loader
    from service.engine.batching import measured_curve
    from service.engine.models import ModelRefused, measurements, refusals
    from service.engine.views import runtime_view
    from service.settings import load_settings

    settings = load_settings(config=config)
    try:
        with refusals(source):
            tracker = package_loader(settings.models)(source)
            curve = measured_curve(tracker, settings.engine.max_batch)
    except ModelRefused as refused:
        return str(refused)
    return runtime_view(tracker.runtime) | measurements(tracker, curve)


def _facts(package: ModelPackage) -> tuple[str, str, str, str, str]:
    """Family, input, size, licence and score as text."""
    side = package.spec.crop.search_size
    size = sum(path.stat().st_size for path in package.files.values()) / 1e6
    auc = package.scores.get("auc")
    score = f"{auc:.3f}" if isinstance(auc, float) else "-"
    licence = str(package.origin.get("licence", "-"))
    return package.spec.family, f"{side} x {side}", f"{size:.1f} MB", licence, score
