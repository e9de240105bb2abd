"""/livez, /readyz, /version and /metrics."""

from __future__ import annotations

from collections import Counter
from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse

from service.api.credentials import AdminCaller

MAX_BATCH_S = 10.0

router = APIRouter(tags=["health"])
metrics_router = APIRouter(tags=["health"])


@router.get("/livez")
async def live(request: Request) -> Response:
    """200 while the event loop answers, and no worker hangs or has died."""
    scheduler = request.app.state.scheduler
    longest_s = scheduler.longest_s()
    trouble = scheduler.trouble() or ("stuck" if longest_s >= MAX_BATCH_S else None)
    body = {"status": trouble or "ok", "longest_batch_s": round(longest_s, 3)}
    return JSONResponse(body, 503 if trouble else 200)


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """200 once the models of the settings are warm, which is before the first connection is taken."""
    registry = request.app.state.registry
    models = dict.fromkeys(registry.models.ready, "warm")
    return JSONResponse({"status": "ok", "models": models, "sessions": len(registry)})


@router.get("/version")
async def show_version() -> dict[str, str]:
    """The running version."""
    return {"name": "lockon", "version": version("lockon"), "protocol": "lockon.v1"}


@metrics_router.get("/metrics")
async def show_metrics(request: Request, _caller: AdminCaller) -> Response:
    """Prometheus' text format."""
    metrics, registry = request.app.state.metrics, request.app.state.registry
    metrics.held_frames.set(registry.held_bytes)
    metrics.sessions(Counter((session.state, session.model.id) for session in registry.all()))
    return Response(metrics.exposition(), media_type=CONTENT_TYPE_LATEST)
