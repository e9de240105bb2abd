"""run(settings): one process that serves until it is told to stop."""

from __future__ import annotations

import socket
import sys

import uvicorn

from service.app import build_app
from service.settings import Settings
from service.telemetry.logs import configure_logs


class Server(uvicorn.Server):
    """uvicorn's server, which says in one line when and where it is ready."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts; an error of the application's ends it with a message instead."""
        await super().startup(sockets)
        if self.started:
            for listener in self.servers[0].sockets:
                host, port = listener.getsockname()[:2]
                shown = "127.0.0.1" if host == "0.0.0.0" else f"[{host}]" if ":" in host else host  # noqa: S104
                sys.stdout.write(f"Lockon is ready: http://{shown}:{port}\n")
            sys.stdout.flush()


def server_config(settings: Settings) -> uvicorn.Config:
    """How uvicorn serves the application."""
    return uvicorn.Config(
        build_app(settings),
        host=settings.server.host,
        port=settings.server.port,
        ws="websockets-sansio",
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        http="httptools",
        ws_per_message_deflate=False,
        ws_max_size=settings.limits.max_frame_bytes,
        access_log=False,
        server_header=False,
        log_config=None,
        timeout_graceful_shutdown=1,
    )


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT."""
    configure_logs(settings.server.log_level, settings.server.log_format)
    Server(server_config(settings)).run()
