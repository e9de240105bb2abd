"""What REST calls send, and what the answers say."""

from __future__ import annotations

from typing import Any

import httpx

from tests.drawing import Drawing

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
BOX = ",".join(f"{number:g}" for number in FIRST)
KEY = {"Idempotency-Key": '"8e03978e-40d5-43e8-bc93-6894a57f9324"'}
PATCH = {"Content-Type": "application/merge-patch+json"}


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of a refusal."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == answer.status_code
    return answer.status_code, body["code"]


async def made(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    """A new session's view."""
    answer = await http.post("/v1/sessions", json=body)
    assert answer.status_code == 201
    view: dict[str, Any] = answer.json()
    return view
