"""`lockon models`: which models are there, and what each one is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.failures import reported

if TYPE_CHECKING:
    from models.package import ModelPackage

app = typer.Typer(help="List the models that are at hand, or show one.", invoke_without_command=True)


@app.callback()
def listing(context: typer.Context) -> None:
    """List the models that are at hand; `lockon models show NAME` tells more of one."""
    if context.invoked_subcommand is not None:
        return
    from rich.console import Console
    from rich.table import Table

    from models.package import DEFAULT_MODEL, DUMMY, PackageInvalid, available, read_package
    from models.runtimes.dummy import DUMMY_SPEC

    table = Table()
    for heading in ("name", "family", "input", "size", "licence", "success AUC"):
        table.add_column(heading)
    with reported(PackageInvalid):
        for name, folder in available().items():
            package = read_package(folder)
            table.add_row(f"{name} (default)" if name == DEFAULT_MODEL else name, *_facts(package))
    side = DUMMY_SPEC.crop.search_size
    table.add_row(DUMMY, "template matching", f"{side} x {side}", "no weights", "Apache-2.0", "for tests")
    Console().print(table)


@app.command()
def show(name: Annotated[str, typer.Argument(help="Name of a model, or the path of a package's folder.")]) -> None:
    """Show everything that a model's manifest says, as JSON."""
    from models.package import DUMMY, PackageInvalid, find_package
    from models.runtimes.dummy import DUMMY_SPEC

    if name == DUMMY:
        facts = {"name": DUMMY, "spec": DUMMY_SPEC.to_json()}
    else:
        with reported(PackageInvalid):
            package = find_package(name)
        facts = {
            "name": package.name,
            "version": package.version,
            "folder": str(package.folder),
            "files": {file: path.stat().st_size for file, path in package.files.items()},
            "scores": dict(package.scores),
            "origin": dict(package.origin),
            "spec": package.spec.to_json(),
        }
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False))


def _facts(package: ModelPackage) -> tuple[str, str, str, str, str]:
    """Family, input, size, licence and score as text."""
    side = package.spec.crop.search_size
    size = sum(path.stat().st_size for path in package.files.values()) / 1e6
    auc = package.scores.get("auc")
    score = f"{auc:.3f}" if isinstance(auc, float) else "-"
    licence = str(package.origin.get("licence", "-"))
    return package.spec.family, f"{side} x {side}", f"{size:.1f} MB", licence, score
