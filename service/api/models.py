"""/v1/models: what can be tracked with; and, where `models.admin` allows it, loading and retiring."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse

from service.api.bodies import read_body
from service.api.credentials import AdminCaller, ModelsCaller
from service.api.handshake import check_origin
from service.api.openapi import answers, takes
from service.api.problems import Problem
from service.engine.models import (
    AlreadyLoading,
    Model,
    ModelIsDefault,
    ModelRefused,
    ModelsFull,
    ModelState,
    UnknownModel,
    measurements,
)
from service.engine.registry import Registry
from service.engine.views import model_view
from service.protocol.requests import LoadRequest
from service.settings import Settings

router = APIRouter(prefix="/v1/models", tags=["models"])

_REFUSED = (
    *("malformed-request", "request-timeout", "forbidden", "origin-not-allowed", "model-loading", "body-too-large"),
    *("unsupported-media", "validation-failed", "no-capacity"),
)


@router.get("", response_model=None, responses=answers(200, "ModelList", "Every model"))
async def list_models(request: Request, _caller: ModelsCaller) -> dict[str, Any]:
    """The models: ready ones, the one that is being loaded, and those that retire."""
    return {"items": _views(_registry(request))}


def _views(registry: Registry) -> list[dict[str, Any]]:
    views = [_view(model, registry) for model in registry.models.all()]
    loading = registry.models.loading
    if loading is not None:
        views.append({"id": loading, "state": ModelState.LOADING, "default": False})
    return views


@router.get("/{model_id}", response_model=None, responses=answers(200, "Model", "The model", "not-found"))
async def get_model(request: Request, model_id: str, _caller: ModelsCaller) -> dict[str, Any]:
    """One model; of two with that name the one that new sessions get."""
    for view in _views(_registry(request)):
        if view["id"] == model_id:
            return view
    raise Problem("not-found", "there is no such model")


@router.post(
    "",
    status_code=201,
    response_model=None,
    openapi_extra=takes(LoadRequest, required=True),
    responses=answers(201, "Model", "The model, warm", *_REFUSED, headers={"Location": "Where it is"}),
)
async def load_model(request: Request, _caller: AdminCaller) -> Response:
    """Loads a package by its name and answers when it is warm; the model that had that name retires."""
    _check_admin(request)
    wanted, registry = await read_body(request, LoadRequest), _registry(request)
    try:
        model = await registry.models.load(registry.models.source_of(wanted.id), default=wanted.default)
    except (UnknownModel, ModelRefused) as error:
        code = "unknown_model" if isinstance(error, UnknownModel) else "model_invalid"
        detail = {"pointer": "/id", "code": code, "detail": str(error)}
        raise Problem("validation-failed", str(error), [detail]) from error
    except AlreadyLoading as error:
        raise Problem("model-loading", str(error)) from error
    except ModelsFull as error:
        raise Problem("no-capacity", str(error)) from error
    return JSONResponse(_view(model, registry), 201, {"Location": f"/v1/models/{model.id}"})


@router.delete(
    "/{model_id}",
    status_code=202,
    response_model=None,
    responses=answers(
        202,
        "Model",
        "The model, which retires",
        *("forbidden", "origin-not-allowed", "not-found", "model-is-default"),
    ),
)
async def retire_model(request: Request, model_id: str, _caller: AdminCaller) -> Response:
    """Retires a model: new sessions cannot choose it, those that it has go on to their end, then it is gone."""
    _check_admin(request)
    registry = _registry(request)
    try:
        model = registry.models.retire(model_id)
    except UnknownModel as error:
        raise Problem("not-found", "there is no such model") from error
    except ModelIsDefault as error:
        raise Problem("model-is-default", str(error)) from error
    return JSONResponse(_view(model, registry), 202)


def _registry(request: Request) -> Registry:
    registry: Registry = request.app.state.registry
    return registry


def _view(model: Model, registry: Registry) -> dict[str, Any]:
    models = registry.models
    return model_view(model) | {
        "warm": True,
        "measured": measurements(model.tracker, model.curve),
        "default": models.ready.get(models.default) is model,
        "sessions": sum(session.model is model for session in registry.all()),
        "loaded_at": model.loaded_at.isoformat(timespec="milliseconds"),
    }


def _check_admin(request: Request) -> None:
    settings: Settings = request.app.state.settings
    if not settings.models.admin:
        raise Problem("forbidden", "models are loaded and retired over the API only where models.admin is set")
    check_origin(request)
