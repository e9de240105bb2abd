"""/livez, /readyz, /version and /metrics."""

from __future__ import annotations

from importlib.metadata import version

from fastapi import APIRouter, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import JSONResponse

from service.api.credentials import AdminCaller
from service.api.openapi import Responses, answers
from service.telemetry.scrape import exposition

MAX_BATCH_S = 10.0

router = APIRouter(tags=["health"])
metrics_router = APIRouter(tags=["health"])

_METRICS: Responses = {200: {"description": "The metrics", "content": {"text/plain": {"schema": {"type": "string"}}}}}
_NOT_LIVE = answers(503, "Liveness", "Restart it")


@router.get("/livez", response_model=None, responses=answers(200, "Liveness", "All is well") | _NOT_LIVE)
async def live(request: Request) -> Response:
    """200 while the event loop answers, no worker hangs or has died, and no task of the server has."""
    scheduler, background = request.app.state.scheduler, request.app.state.background
    longest_s = scheduler.longest_s()
    trouble = scheduler.trouble() or background.trouble() or ("stuck" if longest_s >= MAX_BATCH_S else None)
    body = {"status": trouble or "ok", "longest_batch_s": round(longest_s, 3)}
    return JSONResponse(body, 503 if trouble else 200)


@router.get("/readyz")
async def ready(request: Request) -> Response:
    """200 once the models of the settings are warm, which is before the first connection is taken, until the server is
    told to stop. A store that is away does not change that: sessions go on."""
    registry, keeper = request.app.state.registry, request.app.state.keeper
    status = "draining" if registry.draining else "ok"
    store = "none" if keeper is None else "up" if keeper.up else "degraded"
    models = dict.fromkeys(registry.models.ready, "warm")
    body = {"status": status, "models": models, "sessions": len(registry), "store": store}
    return JSONResponse(body, 503 if registry.draining else 200)


@router.get("/version", response_model=None, responses=answers(200, "Version", "The version"))
async def show_version() -> dict[str, str]:
    """The running version."""
    return {"name": "lockon", "version": version("lockon"), "protocol": "lockon.v1"}


@metrics_router.get("/metrics", response_class=Response, responses=_METRICS)
async def show_metrics(request: Request, _caller: AdminCaller) -> Response:
    """Prometheus' text format."""
    state = request.app.state
    text = exposition(state.metrics, state.registry, state.scheduler)
    return Response(text, media_type=CONTENT_TYPE_LATEST)
