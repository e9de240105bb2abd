"""GET /v1/models: what can be tracked with."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

router = APIRouter(prefix="/v1/models", tags=["models"])


@router.get("")
async def list_models(request: Request) -> dict[str, Any]:
    """The loaded models."""
    registry = request.app.state.registry
    items = []
    for name, model in registry.models.items():
        spec = model.tracker.spec
        items.append(
            {
                "id": name,
                "family": spec.family,
                "input": spec.crop.search_size,
                "template": spec.crop.template_size,
                "search_factor": round(spec.crop.search_size / spec.crop.template_size, 3),
                "warm": True,
                "device": model.tracker.runtime.device,
                "runtime": model.tracker.runtime.name,
                "default": name == registry.default_model,
            }
        )
    return {"items": items}
