"""The REST doors of sessions, and sockets that attach to a session."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus

from tests.drawing import Drawing
from tests.end_to_end.conftest import RunningServer, StartServer, opened

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())


async def _created(http: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    answer = await http.post("/v1/sessions", json={"targets": [{"id": "cup", "box": FIRST}], **body})
    assert answer.status_code == 201
    view: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/sessions/{view['id']}"
    return view


async def test_a_session_is_created_seen_listed_and_deleted(http: httpx.AsyncClient) -> None:
    view = await _created(http, label="door", metadata={"camera": 3})
    assert (view["state"], view["label"], view["metadata"]) == ("created", "door", {"camera": 3})
    assert view["targets"] == [{"id": "cup", "label": None, "state": "initializing", "box": None}]
    address = f"/v1/sessions/{view['id']}"
    assert (await http.get(address)).json()["id"] == view["id"]
    listed = (await http.get("/v1/sessions")).json()
    assert (listed["items"][0]["id"], listed["next_cursor"]) == (view["id"], None)
    assert (await http.delete(address)).status_code == 204
    assert (await http.delete(address)).status_code == 204
    assert (await http.get(address)).json()["code"] == "gone"


async def test_a_socket_attaches_with_or_without_a_hello(server: RunningServer, http: httpx.AsyncClient) -> None:
    for hello in ({"type": "hello"}, None):
        view = await _created(http)
        async with opened(server, view["stream_url"]) as talk:
            if hello:
                await talk.say(hello)
            await talk.say(DRAWING.jpeg(0))
            assert (await talk.hear())["session"] == view["id"]
            result = await talk.hear_of("result")
            assert (result["seq"], result["targets"][0]["id"]) == (1, "cup")
            assert (await http.get(f"/v1/sessions/{view['id']}")).json()["state"] == "live"
            async with opened(server, view["stream_url"]) as second:
                assert (await second.ask({"type": "hello"}, "error"))["code"] == "session_attached"
                assert (await second.close_code())[0] == 4409


async def test_a_session_waits_for_a_reconnect_and_keeps_its_targets(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    view = await _created(http)
    async with opened(server, view["stream_url"]) as talk:
        await talk.ask(DRAWING.jpeg(0), "result")
        await talk.say({"type": "bye", "keep": True})
        assert (await talk.close_code())[0] == 1000
    async with opened(server, view["stream_url"]) as talk:
        welcome = await talk.ask({"type": "hello"}, "welcome")
        assert (welcome["epoch"], welcome["targets"][0]["id"]) == (2, "cup")
        result = await talk.ask(DRAWING.jpeg(1), "result")
    assert (result["seq"], result["epoch"], result["targets"][0]["state"]) == (2, 2, "tracking")


async def test_unknown_and_deleted_sessions_are_refused_before_the_upgrade(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    view = await _created(http)
    await http.delete(f"/v1/sessions/{view['id']}")
    assert (await _refused(server, "/v1/sessions/ses_unknown/stream")).status_code == 404
    assert (await _refused(server, view["stream_url"])).status_code == 410
    answer = await http.get("/v1/sessions/ses_unknown")
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


async def test_only_known_origins_may_open_sockets(server: RunningServer) -> None:
    for origin in ("https://evil.example", "null"):
        assert (await _refused(server, "/v1/stream", origin=origin)).status_code == 403
    for origin in (f"http://127.0.0.1:{server.port}", "http://localhost:5173"):
        async with opened(server, origin=origin):
            pass


async def test_unknown_subprotocols_are_refused(server: RunningServer) -> None:
    assert (await _refused(server, "/v1/stream", subprotocols=["lockon.v9"])).status_code == 400


async def test_a_full_server_says_so(start_server: StartServer) -> None:
    server = start_server({"limits": {"max_sessions": 1}})
    async with httpx.AsyncClient(base_url=server.http) as http:
        await _created(http)
        answer = await http.post("/v1/sessions")
    assert (answer.status_code, answer.json()["code"]) == (503, "no-capacity")
    assert 5 <= int(answer.headers["retry-after"]) <= 30
    assert (await _refused(server, "/v1/stream")).status_code == 503


@pytest.mark.parametrize(
    ("body", "status", "code", "pointer"),
    [
        ("{", 400, "malformed-request", None),
        ('{"model":"dummy","model":"dummy"}', 400, "malformed-request", None),
        ('{"targets":[{"box":[NaN,1,2,3]}]}', 400, "malformed-request", None),
        ('{"modle":"dummy"}', 422, "validation-failed", "/modle"),
        ('{"model":"nano"}', 422, "validation-failed", "/model"),
        ('{"targets":[{"box":[1,2,0,0]}]}', 422, "validation-failed", "/targets/0/box"),
        ('{"targets":[{"box":[1,2,3]}]}', 422, "validation-failed", "/targets/0/box"),
        ('{"targets":[{"id":"a b","box":[1,2,30,30]}]}', 422, "validation-failed", "/targets/0/id"),
        ('{"label":"' + "x" * 70000 + '"}', 413, "body-too-large", None),
    ],
)
async def test_bad_bodies_are_problems(
    http: httpx.AsyncClient, body: str, status: int, code: str, pointer: str | None
) -> None:
    answer = await http.post("/v1/sessions", content=body, headers={"content-type": "application/json"})
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["status"]) == (status, code, status)
    assert [error["pointer"] for error in problem.get("errors", [])] == ([pointer] if pointer else [])


async def test_other_content_types_and_methods_are_problems(http: httpx.AsyncClient) -> None:
    assert (await http.post("/v1/sessions", content="a=b")).status_code == 415
    answer = await http.post("/v1/sessions", content=b"x", headers={"content-encoding": "gzip"})
    assert answer.json()["code"] == "unsupported-media"
    answer = await http.put("/v1/sessions")
    assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
    assert (await http.get("/v1/sessions?limit=0")).json()["errors"][0]["pointer"] == "/limit"


async def _refused(server: RunningServer, path: str, **arguments: Any) -> Any:
    with pytest.raises(InvalidStatus) as refusal:
        async with opened(server, path, **arguments):
            pass
    return refusal.value.response
