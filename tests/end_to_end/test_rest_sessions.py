"""Sessions over REST: keys of repeated requests, pages, merge patches."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.engine.registry import Registry
from tests.end_to_end.conftest import TIMEOUT_S, RunningServer, StartServer, streaming
from tests.end_to_end.guarding import KeyFile, rest
from tests.end_to_end.resting import DRAWING, FIRST, KEY, PATCH, made, problem
from tests.waiting import until


@pytest.fixture
async def empty(server: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of a server without sessions."""
    registry: Registry = server.app.state.registry
    async with httpx.AsyncClient(base_url=server.http) as http:
        for session in (await http.get("/v1/sessions?limit=200")).json()["items"]:
            await http.delete(f"/v1/sessions/{session['id']}")
        assert len(registry) == 0
        yield http


async def test_a_repeated_key_gets_the_first_answer_and_makes_no_second_session(empty: httpx.AsyncClient) -> None:
    first = await empty.post("/v1/sessions", json={"label": "door", "mode": "latest"}, headers=KEY)
    again = await empty.post(
        "/v1/sessions", content=b'{"mode": "latest","label":"door"}', headers=KEY | {"Content-Type": "application/json"}
    )
    assert (first.status_code, again.status_code) == (201, 201)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert (again.content, again.headers["location"]) == (first.content, first.headers["location"])
    assert len((await empty.get("/v1/sessions")).json()["items"]) == 1
    other = await empty.post("/v1/sessions", json={"label": "gate"}, headers=KEY)
    assert problem(other) == (422, "idempotency-key-reused")


@pytest.mark.parametrize("key", ["8e03978e-40d5-43e8-bc93-6894a57f9324", '"short"', '"' + "x" * 129 + '"', '"a"b"' * 6])
async def test_a_key_that_is_no_string_of_a_structured_field_is_refused(http: httpx.AsyncClient, key: str) -> None:
    answer = await http.post("/v1/sessions", headers={"Idempotency-Key": key})
    assert problem(answer) == (400, "idempotency-key-invalid")


async def test_a_refusal_is_not_kept_for_a_key(empty: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": '"a-key-that-was-refused-once"'}
    assert problem(await empty.post("/v1/sessions", json={"model": "nano"}, headers=key)) == (422, "validation-failed")
    assert (await empty.post("/v1/sessions", json={}, headers=key)).status_code == 201


async def test_a_key_whose_first_request_is_under_way_is_told_to_wait(server: RunningServer) -> None:
    key = '"a-key-whose-body-is-slow-to-come"'
    head = f"POST /v1/sessions HTTP/1.1\r\nHost: 127.0.0.1\r\nIdempotency-Key: {key}\r\nContent-Length: 2\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{head}Content-Type: application/json\r\nConnection: close\r\n\r\n".encode())
    await writer.drain()
    await until(lambda: len(server.app.state.kept.under_way) == 1)
    async with httpx.AsyncClient(base_url=server.http) as http, asyncio.timeout(TIMEOUT_S):
        answer = await http.post("/v1/sessions", json={}, headers={"Idempotency-Key": key})
        assert problem(answer) == (409, "idempotency-in-progress")
        assert answer.headers["retry-after"] == "1"
        writer.write(b"{}")
        assert b"201 Created" in await reader.read()
    writer.close()


async def test_keys_of_two_callers_do_not_meet(start_server: StartServer, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.toml")
    server = start_server({"auth": {"keys": keys.path}})
    async with rest(server, keys.new("one")) as one, rest(server, keys.new("two")) as two:
        mine, others = [(await who.post("/v1/sessions", headers=KEY)).json()["id"] for who in (one, two)]
        assert mine != others
        page = (await one.get("/v1/sessions", params={"limit": 1})).json()
        await made(one)
        cursor = (await one.get("/v1/sessions", params={"limit": 1})).json()["next_cursor"]
        assert page["next_cursor"] is None
        assert problem(await two.get("/v1/sessions", params={"cursor": cursor})) == (400, "malformed-request")
        limits = (await two.get("/v1/limits")).json()
        assert (limits["sessions"], limits["frames_per_s"]) == ({"used": 1, "limit": 8}, 480.0)


async def test_pages_hold_every_session_once_the_newest_first(empty: httpx.AsyncClient) -> None:
    ids = [(await made(empty))["id"] for _ in range(7)][::-1]
    seen, address = [], "/v1/sessions?limit=3"
    for size in (3, 3, 1):
        answer = await empty.get(address)
        page = answer.json()
        assert len(page["items"]) == size
        seen += [item["id"] for item in page["items"]]
        await made(empty)  # what comes meanwhile moves no page
        if size == 3:
            address = answer.headers["link"].removeprefix("<").removesuffix('>; rel="next"')
            assert f"cursor={page['next_cursor']}" in address
            await empty.delete(f"/v1/sessions/{seen[-1]}")
    assert seen == ids
    assert page["next_cursor"] is None
    assert "link" not in answer.headers


async def test_lists_are_filtered_and_cursors_belong_to_their_filter(empty: httpx.AsyncClient) -> None:
    for label in ("a", "b", "a", "a"):
        await made(empty, label=label)
    page = (await empty.get("/v1/sessions?label=a&limit=2&state=created")).json()
    assert [item["label"] for item in page["items"]] == ["a", "a"]
    assert (await empty.get("/v1/sessions?state=live")).json()["items"] == []
    cursor = page["next_cursor"]
    assert len((await empty.get(f"/v1/sessions?label=a&state=created&cursor={cursor}")).json()["items"]) == 1
    for query in (f"cursor={cursor}", f"label=b&state=created&cursor={cursor}", "cursor=none", f"cursor=A{cursor}"):
        assert problem(await empty.get(f"/v1/sessions?{query}")) == (400, "malformed-request")


@pytest.mark.parametrize(("query", "pointer"), [("limit=201", "/limit"), ("state=new", "/state"), ("limt=3", "/limt")])
async def test_queries_with_mistakes_name_them(http: httpx.AsyncClient, query: str, pointer: str) -> None:
    answer = await http.get(f"/v1/sessions?{query}")
    assert problem(answer) == (422, "validation-failed")
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_a_merge_patch_changes_settings_and_takes_them_away(http: httpx.AsyncClient) -> None:
    view = await made(http, label="door", metadata={"camera": 3, "place": {"floor": 1, "room": "a"}})
    patch = {
        "label": None,
        "mode": "every",
        "result": {"timings": False},
        "metadata": {"camera": None, "place": {"floor": 2}},
    }
    answer = await http.patch(f"/v1/sessions/{view['id']}", content=json.dumps(patch), headers=PATCH)
    changed = answer.json()
    assert answer.status_code == 200
    assert (changed["label"], changed["mode"], changed["result"]) == (None, "every", {"timings": False, "window": True})
    assert changed["metadata"] == {"place": {"floor": 2, "room": "a"}}
    assert changed["detached_ttl_s"] == view["detached_ttl_s"]


async def test_a_change_tied_to_settings_that_are_no_more_is_refused(http: httpx.AsyncClient) -> None:
    address = f"/v1/sessions/{(await made(http))['id']}"
    tag = (await http.get(address)).headers["etag"]
    assert (await http.get(address)).headers["etag"] == tag
    first = await http.patch(address, json={"label": "a"}, headers={"If-Match": tag})
    assert first.status_code == 200
    assert first.headers["etag"] != tag
    assert problem(await http.patch(address, json={"label": "b"}, headers={"If-Match": tag})) == (412, "etag-mismatch")
    assert (
        await http.patch(address, json={"label": "b"}, headers={"If-Match": f'"x", {first.headers["etag"]}'})
    ).json()["label"] == "b"
    assert (await http.patch(address, json={"label": "c"}, headers={"If-Match": "*"})).json()["label"] == "c"


@pytest.mark.parametrize(
    ("patch", "pointer"),
    [
        ({"mode": None}, "/mode"),
        ({"model": "dummy"}, "/model"),
        ({"detached_ttl_s": -1}, "/detached_ttl_s"),
        ({"metadata": {str(number): 1 for number in range(17)}}, "/metadata"),
        ({"metadata": {str(number): 1 for number in range(10, 26)}}, "/metadata"),
        ({"metadata": {"a": "x" * 4096}}, "/metadata"),
    ],
)
async def test_a_patch_that_is_not_allowed_changes_nothing(http: httpx.AsyncClient, patch: Any, pointer: str) -> None:
    view = await made(http, metadata={"a": 1})
    answer = await http.patch(f"/v1/sessions/{view['id']}", json=patch | {"label": "new"})
    assert problem(answer) == (422, "validation-failed")
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert (await http.get(f"/v1/sessions/{view['id']}")).json()["label"] is None


@pytest.mark.parametrize("value", ["18446744073709551616", r'"\ud800"', '{"\\ud800":1}'])
async def test_metadata_that_no_answer_could_repeat_are_refused_and_make_no_session(
    empty: httpx.AsyncClient, value: str
) -> None:
    body = f'{{"metadata":{{"a":{value}}}}}'
    answer = await empty.post("/v1/sessions", content=body, headers={"Content-Type": "application/json"})
    assert problem(answer) == (400, "malformed-request")
    assert (await empty.get("/v1/sessions")).json()["items"] == []


async def test_a_change_of_mode_holds_for_the_next_frame_of_a_socket(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    async with streaming(server, FIRST) as talk:
        assert "timings" in await talk.ask(DRAWING.jpeg(0), "result")
        await http.patch(f"/v1/sessions/{talk.welcome['session']}", json={"result": {"timings": False}})
        assert "timings" not in await talk.ask(DRAWING.jpeg(1), "result")
