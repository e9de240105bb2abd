"""run(settings): one process that serves until it is told to stop."""

from __future__ import annotations

import asyncio
import errno
import gc
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from time import perf_counter
from types import FrameType
from typing import cast

import structlog
import uvicorn
from fastapi import FastAPI

from service.app import build_app
from service.connections import bounded_protocol
from service.engine.drain import Drain
from service.engine.models import Loader, Models
from service.requests import bounded_requests
from service.security.access import check_exposure
from service.settings import Settings, SettingsInvalid, load_settings
from service.settings_sections import ServerSettings
from service.telemetry.logs import configure_logs

BACKLOG = 2048

_log = structlog.get_logger("lockon.server")


class CannotListen(OSError):
    """The address is in use, or none of this machine's; the message names it."""


class Server(uvicorn.Server):
    """uvicorn's server, which says in one line when and where it is ready, and follows the settings on SIGHUP."""

    def __init__(self, config: uvicorn.Config, reread: Callable[[], Settings]) -> None:
        super().__init__(config)
        self._reread = reread
        self._following: asyncio.Task[None] | None = None
        self._settings_changed = False
        self._told_to_stop = False
        self._drain: Drain | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """On the first SIGTERM clients have time to leave; on another one, and on Ctrl-C, the server stops at once."""
        drains = sig == signal.SIGTERM and not self._told_to_stop
        super().handle_exit(sig, frame)
        if drains:
            self._told_to_stop, self.should_exit = True, False

    async def on_tick(self, counter: int) -> bool:
        """Ten times a second; True ends the server."""
        if self._told_to_stop:
            now_s = perf_counter()
            if self._drain is None:
                state = self._app.state
                self._drain = Drain(state.registry, state.resumption, state.fleet, state.settings.limits.drain_s)
                self._drain.begin(now_s)
            self.should_exit = self.should_exit or self._drain.go_on(now_s)
        return await super().on_tick(counter)

    @property
    def _app(self) -> FastAPI:
        return cast("FastAPI", self.config.app)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts; an error of the application's ends it with a message instead."""
        await super().startup(sockets)
        if self.started:
            # All that is there now stays: the garbage collector need not look at it again, which takes tens of ms.
            gc.collect()
            gc.freeze()
            if hasattr(signal, "SIGHUP"):
                asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._follow_settings)
            for listener in (listener for server in self.servers for listener in server.sockets):
                host, port = listener.getsockname()[:2]
                shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104
                sys.stdout.write(f"Lockon is ready: http://{shown}:{port}\n")
            sys.stdout.flush()

    def _follow_settings(self) -> None:
        self._settings_changed = True  # perhaps after they were read for the last time
        if self._following is None or self._following.done():
            self._following = asyncio.get_running_loop().create_task(self._follow())

    async def _follow(self) -> None:
        """The models become those that the settings name now."""
        served: Models = self._app.state.registry.models
        while self._settings_changed:
            self._settings_changed = False
            try:
                models = self._reread().models
            except SettingsInvalid as error:
                _log.error("the settings were not read again", kind="settings_refused", reason=str(error))
            else:
                await served.follow(models.sources)


def server_config(settings: Settings, loader: Loader | None = None) -> uvicorn.Config:
    """How uvicorn serves the application, whose models `loader` loads."""
    return uvicorn.Config(
        build_app(settings, loader),
        host=settings.server.host,
        port=settings.server.port,
        ws=bounded_protocol(settings.limits.send_timeout_s),
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http=bounded_requests(settings.limits.body_timeout_s),
        ws_per_message_deflate=False,
        ws_max_size=settings.limits.max_frame_bytes,
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )


def listeners(server: ServerSettings) -> list[socket.socket]:
    """Sockets that listen on every address that the host's name stands for; raises CannotListen.

    Opened before the models are loaded, so that a port in use is told at once."""
    place = f"cannot listen on {server.host}:{server.port}"
    try:
        found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise CannotListen(f"{place}: {error.strerror}") from error
    opened: list[socket.socket] = []
    failure: OSError | None = None
    for family, *_, address in dict.fromkeys(found):
        # A free port that was found for the first address is meant for the others as well.
        port = opened[0].getsockname()[1] if opened else address[1]
        try:
            opened.append(socket.create_server((address[0], port), family=family, backlog=BACKLOG))
        except OSError as error:
            failure = error
    # A name may stand for addresses of a kind that this machine has not got; one that is taken is another matter.
    if failure is not None and (not opened or failure.errno == errno.EADDRINUSE):
        for listener in opened:
            listener.close()
        in_use = failure.errno == errno.EADDRINUSE
        reason = "it is in use, choose another with --port" if in_use else str(failure.strerror)
        raise CannotListen(f"{place}: {reason}")
    return opened


def run(
    settings: Settings,
    sockets: Sequence[socket.socket] | None = None,
    loader: Loader | None = None,
    reread: Callable[[], Settings] = load_settings,
) -> None:
    """Serves until SIGTERM or SIGINT, on these sockets or on those that the settings name.

    On SIGHUP `reread` gives the settings again, for the models alone. Raises SettingsInvalid where others could reach
    a server that lets everybody in."""
    check_exposure(settings)
    configure_logs(settings.server.log_level, settings.server.log_format)
    Server(server_config(settings, loader), reread).run(list(sockets or listeners(settings.server)))
