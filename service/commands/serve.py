"""`lockon serve`: the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.failures import CommandFailed, reported

if TYPE_CHECKING:
    from service.settings import ModelSettings

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
        list[str] | None,
        typer.Option("--model", "-m", help="A model's name or folder; may be repeated, the first one is the default."),
    ] = None,
    runtime: Annotated[
        str | None, typer.Option("--runtime", help="What runs the graphs: onnxruntime, openvino or torchscript.")
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="Where they run: cpu or cuda. [cpu]")] = None,
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
        chosen: list[str | None] = [*model] if model else [None]
        models = {"default": chosen[0], "also": chosen[1:] or None, "runtime": runtime, "device": device}
        settings = load_settings({"server": server, "models": models}, config)
        _check_models(settings.models)
        sockets = listeners(settings.server)
    run(settings, sockets)


def _check_models(models: ModelSettings) -> None:
    """Raises CommandFailed for a model that cannot be loaded, before the server starts and fails with a traceback."""
    from models.package import DUMMY, ZOO, PackageInvalid, find_package
    from service.engine.models import model_id

    sources: dict[str, str] = {}
    for source in models.sources:
        name = model_id(source)
        if sources.setdefault(name, source) != source:
            raise CommandFailed(f"two models have the name {name}: {sources[name]} and {source}")
        try:
            if source != DUMMY:
                find_package(source, (*models.folders, ZOO))
        except PackageInvalid as error:
            raise CommandFailed(str(error)) from error
