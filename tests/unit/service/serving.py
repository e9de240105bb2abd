"""What a server has inside, without the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.engine.models import Models
from service.engine.registry import Registry
from service.engine.scheduler import Scheduler
from service.settings_sections import LimitSettings
from service.telemetry.metrics import Metrics


async def new_registry() -> AsyncIterator[Registry]:
    """Sessions of the dummy model, which nobody looks after."""
    metrics = Metrics()
    models = Models(load_tracker, HostDecoder(), 1, (), metrics)
    await models.load("dummy")
    scheduler = Scheduler(1, asyncio.get_running_loop(), metrics)
    yield Registry(models, LimitSettings(), scheduler, metrics)
    scheduler.stop(1.0)
