"""build_app(settings): wires everything, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import cv2
import structlog
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from models.package import ZOO, load_tracker
from service.api import health, models, sessions, stream, tickets
from service.api.middleware import RequestMeter, SecurityHeaders
from service.api.problems import add_handlers
from service.engine.counters import Drop
from service.engine.decoding import HostDecoder, jpeg_decoder
from service.engine.models import Loader, Models
from service.engine.registry import Registry
from service.engine.scheduler import Scheduler
from service.engine.views import runtime_view
from service.security.access import Access
from service.security.quotas import Quotas
from service.settings import ModelSettings, Settings
from service.telemetry.metrics import Metrics

WEB_FOLDER = Path(__file__).parent / "web"
STOP_TIMEOUT_S = 1.0

_log = structlog.get_logger("lockon.app")


def build_app(settings: Settings, loader: Loader | None = None) -> FastAPI:
    """The ASGI application. `loader` gives the tracker of a model's name; by default its package is loaded.

    The models of the settings are loaded and warmed before the first connection is taken."""
    app = FastAPI(
        title="Lockon",
        version=version("lockon"),
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(settings, loader or package_loader(settings.models)),
    )
    app.state.settings, app.state.access = settings, Access(settings.auth)
    for router in (sessions.router, tickets.router, models.router, stream.router, health.router):
        app.include_router(router)
    if settings.metrics.enabled:
        app.include_router(health.metrics_router)
    add_handlers(app)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestMeter)
    if settings.web.page and WEB_FOLDER.is_dir():
        app.mount("/", StaticFiles(directory=WEB_FOLDER, html=True), name="web")
    return app


def package_loader(models: ModelSettings) -> Loader:
    """Loads packages as the settings say: from those folders and the zoo, for that runtime."""
    return partial(
        load_tracker,
        threads=models.threads,
        folders=package_folders(models),
        kind=models.runtime,
        device=models.device,
        precision=models.precision,
    )


def package_folders(models: ModelSettings) -> tuple[Path, ...]:
    """Where packages are looked for by name."""
    return (*models.folders, ZOO)


def _lifespan(settings: Settings, load: Loader) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        began_s = perf_counter()
        # A worker is one core's work. OpenCV's own threads save nothing on pictures of this size, and waiting for them
        # costs milliseconds whenever the other cores are busy.
        cv2.setNumThreads(1)
        metrics, engine = Metrics(), settings.engine
        served = Models(load, HostDecoder(), engine.max_batch, package_folders(settings.models), metrics)
        for source in settings.models.sources:
            await served.load(source)
        metrics.warmed(perf_counter() - began_s)
        scheduler = Scheduler(engine.workers, engine.max_batch, asyncio.get_running_loop(), metrics)
        quotas = Quotas(settings.quotas) if settings.auth.required else None
        registry = Registry(served, settings.limits, scheduler, metrics, quotas)
        app.state.metrics, app.state.scheduler, app.state.registry = metrics, scheduler, registry
        _log.info(
            "ready",
            kind="ready",
            workers=engine.workers,
            models=list(served.ready),
            jpeg=jpeg_decoder(),
            **runtime_view(served.chosen(None)),
        )
        async with asyncio.TaskGroup() as tasks:
            background = [tasks.create_task(registry.keep_sweeping()), tasks.create_task(metrics.watch_loop())]
            try:
                yield
            finally:
                for task in background:
                    task.cancel()
                for session in registry.all():
                    registry.close(session, "shutdown", Drop.SHUTDOWN)
                scheduler.stop(STOP_TIMEOUT_S)

    return lifespan
