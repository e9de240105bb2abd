"""build_app(settings): wires everything, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import cv2
import structlog
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from models.package import ZOO, load_tracker
from models.tracker import Tracker
from service.api import health, models, sessions, stream
from service.api.middleware import RequestMeter, SecurityHeaders
from service.api.problems import add_handlers
from service.engine.counters import Drop
from service.engine.decoding import HostDecoder
from service.engine.registry import Registry
from service.engine.scheduler import Scheduler
from service.engine.session import SessionModel
from service.engine.steps import Stepper
from service.settings import Settings
from service.telemetry.metrics import Metrics

WEB_FOLDER = Path(__file__).parent / "web"
STOP_TIMEOUT_S = 1.0

Loader = Callable[[str], Tracker]

_log = structlog.get_logger("lockon.app")


def build_app(settings: Settings, loader: Loader | None = None) -> FastAPI:
    """The ASGI application. `loader` gives the tracker of a model's name; by default its package is loaded.

    Models are loaded and warmed before the first connection is taken."""
    load = loader or (lambda name: load_tracker(name, folders=(*settings.models.folders, ZOO)))
    app = FastAPI(
        title="Lockon",
        version=version("lockon"),
        openapi_url="/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan(settings, load),
    )
    app.state.settings = settings
    for router in (sessions.router, models.router, stream.router, health.router):
        app.include_router(router)
    if settings.metrics.enabled:
        app.include_router(health.metrics_router)
    add_handlers(app)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestMeter)
    if settings.web.page and WEB_FOLDER.is_dir():
        app.mount("/", StaticFiles(directory=WEB_FOLDER, html=True), name="web")
    return app


def _loaded(names: list[str], load: Loader, max_batch: int) -> tuple[dict[str, Tracker], dict[str, Stepper]]:
    """Trackers and warm steppers, by the models' names."""
    # A worker is one core's work. OpenCV's own threads save nothing on pictures of this size, and waiting for them
    # costs milliseconds whenever the other cores are busy.
    cv2.setNumThreads(1)
    decoder = HostDecoder()
    trackers = {Path(name).name: load(name) for name in names}
    steppers = {name: Stepper(tracker, decoder) for name, tracker in trackers.items()}
    for stepper in steppers.values():
        stepper.warm_up(max_batch)
    return trackers, steppers


def _lifespan(settings: Settings, load: Loader) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        began = perf_counter()
        names = list(dict.fromkeys([settings.models.default, *settings.models.also]))
        trackers, steppers = await asyncio.to_thread(_loaded, names, load, settings.engine.max_batch)
        metrics = Metrics(list(trackers))
        metrics.warmed(perf_counter() - began)
        scheduler = Scheduler(
            steppers,
            settings.engine.workers,
            settings.engine.max_batch,
            asyncio.get_running_loop(),
            metrics,
        )
        known = {name: SessionModel(name, tracker, metrics.tallies[name]) for name, tracker in trackers.items()}
        registry = Registry(known, Path(settings.models.default).name, settings.limits, scheduler, metrics)
        app.state.metrics, app.state.scheduler, app.state.registry = metrics, scheduler, registry
        _log.info("ready", kind="ready", models=list(trackers), workers=settings.engine.workers)
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
