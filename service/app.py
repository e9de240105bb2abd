"""build_app(settings): wires everything, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from secrets import token_hex
from time import perf_counter

import cv2
import structlog
from fastapi import FastAPI
from starlette.staticfiles import StaticFiles

from models.package import ZOO, load_tracker
from service.api import documents, frames, health, models, sessions, stream, tickets
from service.api.idempotency import Kept
from service.api.middleware import HeadAsGet, HostCheck, RequestMeter, SecurityHeaders
from service.api.openapi import describe
from service.api.paging import Cursors
from service.api.problems import add_handlers
from service.api.resources import SCHEMAS
from service.engine.background import Background
from service.engine.counters import Drop
from service.engine.decoding import HostDecoder, jpeg_decoder
from service.engine.fleet import Fleet
from service.engine.keeper import Keeper
from service.engine.models import Loader, Models
from service.engine.registry import Registry
from service.engine.resume import Resumption
from service.engine.scheduler import Scheduler
from service.engine.views import runtime_view
from service.security.access import Access
from service.security.quotas import Quotas
from service.security.resume import ResumeTokens
from service.settings import Settings
from service.settings_sections import ModelSettings, StoreSettings
from service.store.opening import open_store
from service.telemetry.fairness import Fairness
from service.telemetry.metrics import Metrics
from service.telemetry.traces import open_traces

WEB_FOLDER = Path(__file__).parent / "web"
STOP_TIMEOUT_S = 1.0

_log = structlog.get_logger("lockon.app")


def build_app(settings: Settings, loader: Loader | None = None) -> FastAPI:
    """The ASGI application. `loader` gives the tracker of a model's name; by default its package is loaded.

    The models of the settings are loaded and warmed before the first connection is taken."""
    app = FastAPI(
        title="Lockon",
        version=version("lockon"),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=lambda route: route.name,
        lifespan=_lifespan(settings, loader or package_loader(settings.models)),
    )
    app.state.settings, app.state.access = settings, Access(settings.auth)
    app.state.kept, app.state.cursors = Kept(), Cursors()
    for door in (sessions, frames, tickets, models, stream, documents, health):
        app.include_router(door.router)
    if settings.metrics.enabled:
        app.include_router(health.metrics_router)
    # The last one: it takes every socket that is still unknown.
    app.include_router(documents.sockets_router)
    add_handlers(app)
    describe(app, SCHEMAS, credentials_required=settings.auth.required)
    app.add_middleware(HostCheck, settings=settings)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(RequestMeter)
    app.add_middleware(HeadAsGet)
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


def resume_tokens(store: StoreSettings) -> ResumeTokens:
    """Signs with the keys of the settings."""
    return ResumeTokens([key.get_secret_value() for key in store.token_keys])


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
        scheduler = Scheduler(engine.workers, asyncio.get_running_loop(), metrics, engine.cadence_under_load)
        quotas = Quotas(settings.quotas) if settings.auth.required else None
        traces = app.state.traces = open_traces(settings)
        registry = Registry(served, settings.limits, scheduler, metrics, quotas, resume_tokens(settings.store))
        registry.address = settings.fleet.address
        store = open_store(settings.store, token_hex(8))
        keeper = Keeper(store, registry, settings.store.lease_s) if store is not None else None
        fleet = app.state.fleet = Fleet(store, registry, app.version)
        app.state.keeper, app.state.resumption = keeper, Resumption(registry, fleet, keeper)
        app.state.metrics, app.state.scheduler, app.state.registry = metrics, scheduler, registry
        _log.info(
            "ready",
            kind="ready",
            workers=engine.workers,
            models=list(served.ready),
            jpeg=jpeg_decoder(),
            **runtime_view(served.chosen(None).tracker.runtime),
        )
        background = app.state.background = Background()
        background.start("sweeper", registry.keep_sweeping())
        background.start("lag", metrics.watch_loop())
        background.start("fairness", Fairness(metrics, settings.limits.min_fps).watch(registry.all))
        if keeper is not None:
            background.start("keeper", keeper.run())
            background.start("fleet", fleet.run())
        try:
            yield
        finally:
            await background.stop()
            if keeper is not None:
                await keeper.flush(STOP_TIMEOUT_S)
            for session in registry.all():
                registry.close(session, "shutdown", Drop.SHUTDOWN)
            scheduler.stop(STOP_TIMEOUT_S)
            if traces is not None:
                await asyncio.to_thread(traces.close)

    return lifespan
