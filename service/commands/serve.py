"""`lockon serve`: the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from service.commands.failures import CommandFailed, reported

Config = Annotated[
    Path | None, typer.Option("--config", "-c", help="TOML file with settings; see docs/settings.md.", dir_okay=False)
]


def serve(
    host: Annotated[
        str | None, typer.Option("--host", help="Address to listen on; 0.0.0.0 for every interface. [127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option("--port", "-p", help="Port to listen on; 0 takes a free one. [8000]", min=0, max=65535)
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model of a session that names none: a name or a folder.")
    ] = None,
    config: Config = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="Least important line logged: debug, info, warning or error.")
    ] = None,
) -> None:
    """Serve the page, the REST API and the WebSocket until Ctrl-C.

    Flags go before the environment (LOCKON_SECTION__KEY), which goes before the file; `lockon config` shows the result.
    """
    from service.server import listeners, run
    from service.settings import SettingsInvalid, load_settings

    with reported(SettingsInvalid):
        server = {"host": host, "port": port, "log_level": log_level}
        settings = load_settings({"server": server, "models": {"default": model}}, config)
        _check_models([settings.models.default, *settings.models.also], settings.models.folders)
        sockets = listeners(settings.server)
    run(settings, sockets)


def _check_models(names: list[str], folders: list[Path]) -> None:
    """Raises CommandFailed for a model that cannot be loaded, before the server starts and fails with a traceback."""
    from models.package import DUMMY, ZOO, PackageInvalid, find_package

    for name in names:
        try:
            if name != DUMMY:
                find_package(name, (*folders, ZOO))
        except PackageInvalid as error:
            raise CommandFailed(str(error)) from error
