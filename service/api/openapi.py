"""The OpenAPI document: FastAPI's own, with the schemas of bodies that are read by hand, every problem, and whether
this very server asks for credentials."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter

from service.api.problems import PROBLEM_MEDIA_TYPE, STATUS, TITLES, WAITS

_SCHEMAS = "#/components/schemas/"
_DESCRIPTION = (
    "Sessions, models and tickets. Frames go over a WebSocket, which /v1/asyncapi.json describes; or one by one to "
    "`POST /v1/sessions/{session_id}/frames`."
)
_FASTAPIS_422 = "Validation Error"
_EVERYWHERE = ("misdirected",)
_WHERE_CREDENTIALS_ARE = ("unauthenticated", "forbidden")
_RETRY_AFTER = {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}}
_CHALLENGE = {"description": "What credentials are asked for", "schema": {"type": "string"}}
_ELSEWHERE = {"description": "The same request to that server", "schema": {"type": "string"}}
_ALLOW = {"description": "Methods that this address knows", "schema": {"type": "string"}}

Responses = dict[int | str, dict[str, Any]]


def answers(
    status: int,
    schema: str | None,
    description: str,
    *problems: str,
    headers: Mapping[str, str] | None = None,
    links: Mapping[str, Any] | None = None,
) -> Responses:
    """`responses` of a route: its success, with the name of its schema, and its problems by their codes.

    `headers` are those of the success, with what they say."""
    success: dict[str, Any] = {"description": description}
    if schema is not None:
        success["content"] = {"application/json": {"schema": _reference(schema)}}
    if headers:
        success["headers"] = {
            name: {"description": words, "schema": {"type": "string"}} for name, words in headers.items()
        }
    if links:
        success["links"] = dict(links)
    return {status: success} | _refusals(problems)


def takes(kind: type[BaseModel], *, required: bool = False, media_type: str = "application/json") -> dict[str, Any]:
    """`openapi_extra` of a route whose body is read by hand; `examples` of the model come along."""
    return {"requestBody": {"required": required, "content": {media_type: {"schema": _reference(kind.__name__)}}}}


def describe(app: FastAPI, schemas: tuple[Any, ...], *, credentials_required: bool) -> None:
    """Lets the application describe itself by this module. `schemas` are the types that routes refer to by name."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, schemas, credentials_required=credentials_required)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, schemas: tuple[Any, ...], *, credentials_required: bool) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=_DESCRIPTION, routes=app.routes)
    document["info"]["license"] = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
    components = document.setdefault("components", {})
    components["schemas"] = _components(schemas)
    for operations in document["paths"].values():
        for operation in operations.values():
            _complete(operation, credentials_required=credentials_required)
    return document


def _complete(operation: dict[str, Any], *, credentials_required: bool) -> None:
    """Adds what holds for all operations alike."""
    responses = operation["responses"]
    if responses.get("422", {}).get("description") == _FASTAPIS_422:
        # Ours are problems.
        responses |= {"422": _refusals(["validation-failed"])[422]}
    codes = list(_EVERYWHERE)
    if "security" in operation:
        schemes: list[dict[str, list[str]]] = [{name: [] for name in operation["security"][0]}]
        operation["security"] = schemes if credentials_required else [{}, *schemes]
        if credentials_required:
            codes += _WHERE_CREDENTIALS_ARE
    for status, response in _refusals(codes).items():
        known = responses.setdefault(str(status), response)
        if known is not response:
            known["content"][PROBLEM_MEDIA_TYPE]["examples"] |= response["content"][PROBLEM_MEDIA_TYPE]["examples"]


def _refusals(codes: tuple[str, ...] | list[str]) -> Responses:
    """The responses for problems: one for each status, with an example for each code."""
    responses: Responses = {}
    for code in codes:
        status = STATUS[code]
        response = responses.setdefault(status, _refusal(status))
        response["content"][PROBLEM_MEDIA_TYPE]["examples"][code] = {"value": _example(code)}
    return responses


def _refusal(status: int) -> dict[str, Any]:
    headers = {}
    if status in WAITS:
        headers["Retry-After"] = _RETRY_AFTER
    if status == 401:
        headers["WWW-Authenticate"] = _CHALLENGE
    if status == 405:
        headers["Allow"] = _ALLOW
    if status == 307:
        headers["Location"] = _ELSEWHERE
    response: dict[str, Any] = {
        "description": HTTPStatus(status).phrase,
        "content": {PROBLEM_MEDIA_TYPE: {"schema": _reference("Problem"), "examples": {}}},
    }
    return response | ({"headers": headers} if headers else {})


def _example(code: str) -> dict[str, Any]:
    return {
        "type": f"/problems/{code}",
        "title": TITLES[code],
        "status": STATUS[code],
        "detail": TITLES[code],
        "instance": "req_vbnq3sdvzyvpz5xlm2ihdzr7aa",
        "code": code,
    }


def _components(schemas: tuple[Any, ...]) -> dict[str, Any]:
    adapters: list[Any] = [(kind.__name__, "validation", TypeAdapter(kind)) for kind in schemas]
    _, definitions = TypeAdapter.json_schemas(adapters, ref_template=_SCHEMAS + "{model}")
    components: dict[str, Any] = definitions["$defs"]
    return components


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _SCHEMAS + name}
