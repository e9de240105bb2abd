"""`lockon config`: the settings that a server started here and now would have."""

from __future__ import annotations

import json

import typer

from service.commands.failures import reported
from service.commands.serve import Config


def config(config: Config = None) -> None:
    """Show the settings in force, as JSON: defaults, then the file, then the environment."""
    from service.settings import SettingsInvalid, load_settings

    with reported(SettingsInvalid):
        settings = load_settings(config=config)
    typer.echo(json.dumps(settings.model_dump(mode="json"), indent=2))
