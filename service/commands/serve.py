"""`lockon serve`: the server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.failures import CommandFailed, reported

if TYPE_CHECKING:
    from service.engine.models import Loader
    from service.settings_sections import ModelSettings

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
        str | None,
        typer.Option("--runtime", help="What runs the graphs: auto, onnxruntime, openvino or torchscript. [auto]"),
    ] = None,
    device: Annotated[str | None, typer.Option("--device", help="Where they run: cpu or cuda. [cpu]")] = None,
    config: Config = None,
    log_level: Annotated[
        str | None, typer.Option("--log-level", help="Least important line logged: debug, info, warning or error.")
    ] = None,
) -> None:
    """Serve the page, the REST API and the WebSocket until Ctrl-C.

    On SIGHUP the models are loaded anew, those that the settings name then; running sessions keep what they have.

    Flags go before the environment (LOCKON_SECTION__KEY), which goes before the file; `lockon config` shows the result.
    """
    from service.engine.models import ModelRefused
    from service.security.access import Access, check_exposure
    from service.security.keys import KeysInvalid
    from service.server import listeners, run
    from service.settings import SettingsInvalid, load_settings
    from service.store.opening import open_store
    from service.telemetry.traces import check_traces

    with reported(SettingsInvalid, KeysInvalid, ModelRefused):
        server = {"host": host, "port": port, "log_level": log_level}
        chosen: list[str | None] = [*model] if model else [None]
        models = {"default": chosen[0], "also": chosen[1:] or None, "runtime": runtime, "device": device}
        flags = {"server": server, "models": models}
        settings = load_settings(flags, config)
        check_exposure(settings)
        check_traces(settings)
        Access(settings.auth)
        open_store(settings.store, "")
        _check_names(settings.models.sources)
        sockets = listeners(settings.server)
        loader = _loaded(settings.models)
    run(settings, sockets, loader, reread=lambda: load_settings(flags, config))


def _check_names(sources: list[str]) -> None:
    """Raises CommandFailed where two folders give their models the same name."""
    from service.engine.models import model_id

    names: dict[str, str] = {}
    for source in sources:
        name = model_id(source)
        if names.setdefault(name, source) != source:
            raise CommandFailed(f"two models have the name {name}: {names[name]} and {source}")


def _loaded(models: ModelSettings) -> Loader:
    """Loads the models now, so that one that cannot be loaded is told in a line and not in the server's traceback; the
    loader gives each of them once, and from then on loads."""
    from service.app import package_loader
    from service.engine.models import refusals

    load = package_loader(models)
    trackers = {}
    for source in models.sources:
        with refusals(source):
            trackers[source] = load(source)
    return lambda source: trackers.pop(source, None) or load(source)
