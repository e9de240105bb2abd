"""The `lockon` command: puts the sub-commands of `service.commands` together.

Sub-commands import what they need when they run, so that `lockon --help` answers at once and `lockon serve` never loads
what only training needs.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from service.commands import bench, calibrate, config, data, evaluate, export, keys, models, serve, track, train, tune

app = typer.Typer(
    name="lockon",
    help="Follow targets in live video: serve it, run it on a file, or measure and train the models.",
    epilog="Start with [bold]lockon serve[/bold] and open the page it names, or with "
    "[bold]lockon track VIDEO --box x,y,w,h --out drawn.mp4[/bold].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lockon {version('lockon')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Holds the options that stand before a sub-command."""


_USE, _MODELS = "Use", "Models and training"
app.command("serve", rich_help_panel=_USE)(serve.serve)
app.command("track", rich_help_panel=_USE)(track.track)
app.command("bench", rich_help_panel=_USE)(bench.bench)
app.command("config", rich_help_panel=_USE)(config.config)
app.add_typer(keys.app, name="keys", rich_help_panel=_USE)
app.add_typer(models.app, name="models", rich_help_panel=_MODELS)
app.command("evaluate", rich_help_panel=_MODELS)(evaluate.evaluate)
app.add_typer(data.app, name="data", rich_help_panel=_MODELS)
app.command("tune", rich_help_panel=_MODELS)(tune.tune)
app.command("train", rich_help_panel=_MODELS)(train.train)
app.command("calibrate", rich_help_panel=_MODELS)(calibrate.calibrate)
app.command("export", rich_help_panel=_MODELS)(export.export)


def main() -> None:
    """The console script."""
    app()
