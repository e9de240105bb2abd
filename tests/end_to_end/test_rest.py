"""The REST doors beside those of sessions: frames without a socket, methods, hosts, bodies."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from tests.end_to_end.conftest import TIMEOUT_S, RunningServer, StartServer, opened, with_header
from tests.end_to_end.guarding import refused
from tests.end_to_end.resting import BOX, DRAWING, FIRST, made, problem


async def test_frames_are_followed_without_a_socket(http: httpx.AsyncClient) -> None:
    address = f"/v1/sessions/{(await made(http))['id']}/frames"
    answer = await http.post(address, params={"box": BOX, "target": "cup"}, content=DRAWING.jpeg(0))
    first = answer.json()
    assert answer.status_code == 200, answer.text
    assert (first["type"], first["seq"], first["targets"][0]["state"]) == ("result", 1, "initializing")
    second = (await http.post(address, content=DRAWING.jpeg(1))).json()
    assert second["targets"][0]["id"] == "cup"
    assert second["targets"][0]["box"] == pytest.approx(DRAWING.box(1).xywh(), abs=2)
    third = (await http.post(address, content=with_header(DRAWING.jpeg(2), 7, flags=512))).json()
    assert (third["seq"], third["targets"][0]["state"]) == (7, "tracking")
    anew = await http.post(address, params={"box": BOX, "target": "cup", "seq": 9}, content=DRAWING.jpeg(0))
    assert [(target["id"], target["state"]) for target in anew.json()["targets"]] == [("cup", "initializing")]
    counters = (await http.get(address.removesuffix("/frames"))).json()["counters"]
    assert (counters["received"], counters["processed"], counters["waiting"]) == (4, 4, 0)


@pytest.mark.parametrize(
    ("query", "body", "status", "code"),
    [
        ({}, DRAWING.jpeg(0), 422, "validation-failed"),
        ({"target": "cup"}, DRAWING.jpeg(0), 422, "validation-failed"),
        ({"box": "1,2,3"}, DRAWING.jpeg(0), 422, "validation-failed"),
        ({"box": "1,2,3,3"}, DRAWING.jpeg(0), 422, "validation-failed"),
        ({"bx": BOX}, DRAWING.jpeg(0), 422, "validation-failed"),
        ({"box": BOX}, b"", 422, "image-undecodable"),
        ({"box": BOX}, b"GIF89a" + bytes(99), 415, "unsupported-media"),
        ({"box": BOX}, DRAWING.jpeg(0)[:-99], 422, "image-undecodable"),
        ({"box": BOX}, with_header(DRAWING.jpeg(0), 3, size=(9, 9)), 422, "validation-failed"),
        ({"box": BOX}, b"x" * (4 * 1024 * 1024 + 1), 413, "body-too-large"),
    ],
)
async def test_a_frame_that_cannot_be_followed_is_a_problem_each_time(
    http: httpx.AsyncClient, query: dict[str, str], body: bytes, status: int, code: str
) -> None:
    address = f"/v1/sessions/{(await made(http))['id']}"
    for _ in range(2):
        assert problem(await http.post(f"{address}/frames", params=query, content=body)) == (status, code)
    view = (await http.get(address)).json()
    assert view["counters"]["waiting"] == 0
    good = await http.post(f"{address}/frames", params={"box": BOX}, content=DRAWING.jpeg(0))
    assert good.json()["targets"][0]["state"] == "initializing"


async def test_what_a_refused_frame_was_to_start_is_not_started_by_the_next_one(http: httpx.AsyncClient) -> None:
    address = f"/v1/sessions/{(await made(http))['id']}/frames"
    damaged = await http.post(address, params={"box": BOX}, content=DRAWING.jpeg(0)[:-99])
    assert damaged.status_code == 422
    small = await http.post(address, params={"box": "1,2,3,3"}, content=b"GIF89a" + bytes(99))
    assert small.status_code == 415
    good = await http.post(address, params={"box": BOX}, content=DRAWING.jpeg(0))
    assert good.status_code == 200, good.text
    assert len(good.json()["targets"]) == 1


async def test_a_target_that_waits_for_its_first_frame_starts_where_that_frame_says(http: httpx.AsyncClient) -> None:
    created = {"id": "cup", "label": "Cup", "box": [8, 8, 20, 20]}
    address = f"/v1/sessions/{(await made(http, targets=[created, created | {'id': 'jug'}]))['id']}/frames"
    query = {"box": BOX, "target": "cup"}
    assert problem(await http.post(address, params=query, content=DRAWING.jpeg(0)[:-99])) == (422, "image-undecodable")
    answer = await http.post(address, params=query, content=DRAWING.jpeg(0))
    boxes = {target["id"]: target["box"] for target in answer.json()["targets"]}
    assert boxes == {"cup": FIRST, "jug": [8, 8, 20, 20]}
    following = (await http.post(address, content=DRAWING.jpeg(1))).json()
    (cup,) = [target for target in following["targets"] if target["id"] == "cup"]
    assert cup["box"] == pytest.approx(DRAWING.box(1).xywh(), abs=2)


async def test_the_box_of_a_refused_frame_does_not_stay_with_the_target_of_a_create(http: httpx.AsyncClient) -> None:
    created = {"id": "cup", "box": FIRST}
    address = f"/v1/sessions/{(await made(http, targets=[created]))['id']}/frames"
    elsewhere = {"box": "8,8,20,20", "target": "cup"}
    assert (await http.post(address, params=elsewhere, content=DRAWING.jpeg(0)[:-99])).status_code == 422
    assert (await http.post(address, content=DRAWING.jpeg(0))).json()["targets"][0]["box"] == FIRST


async def test_frames_and_sockets_do_not_mix(server: RunningServer, http: httpx.AsyncClient) -> None:
    view = await made(http, targets=[{"box": FIRST}])
    async with opened(server, view["stream_url"]) as talk:
        await talk.ask(DRAWING.jpeg(0), "result")
        answer = await http.post(f"/v1/sessions/{view['id']}/frames", content=DRAWING.jpeg(1))
        assert problem(answer) == (409, "session-attached")


async def test_sockets_at_other_addresses_are_not_found(server: RunningServer) -> None:
    for path in ("/", "/v1", "/v1/sessions", "/v2/stream"):
        answer = await refused(server, path)
        assert (answer.status_code, json.loads(answer.body or b"")["code"]) == (404, "not-found")


async def test_a_get_where_a_socket_belongs_names_the_proxy_in_between(http: httpx.AsyncClient) -> None:
    for path in ("/v1/stream", "/v1/sessions/ses_x/stream"):
        answer = await http.get(path)
        assert problem(answer) == (426, "upgrade-required")
        assert answer.headers["upgrade"] == "websocket"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/v1/sessions", "GET, POST, HEAD"),
        ("POST", "/v1/sessions/ses_x", "DELETE, GET, PATCH, HEAD"),
        ("GET", "/v1/tickets", "POST"),
        ("OPTIONS", "/v1/models", "GET, POST, HEAD"),
        ("POST", "/livez", "GET, HEAD"),
        ("POST", "/index.html", "GET, HEAD"),
    ],
)
async def test_other_methods_are_told_which_ones_are_known(
    http: httpx.AsyncClient, method: str, path: str, allowed: str
) -> None:
    answer = await http.request(method, path)
    assert problem(answer) == (405, "method-not-allowed")
    assert answer.headers["allow"] == allowed


async def test_head_is_get_without_the_body(http: httpx.AsyncClient) -> None:
    for path in ("/livez", "/v1/models", "/"):
        answer, got = await http.head(path), await http.get(path)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == got.headers["content-type"]


async def test_on_loopback_other_names_are_refused_unless_they_are_listed(start_server: StartServer) -> None:
    server = start_server({"web": {"allowed_hosts": ["Lockon.example"]}})
    async with httpx.AsyncClient(base_url=server.http) as http:
        for host in ("evil.example", "127.0.0.1.evil.example:80", "[::2]", "localhost@evil.example"):
            assert problem(await http.get("/v1/sessions", headers={"Host": host})) == (421, "misdirected")
        for host in ("lockon.example", "LOCKON.example:8443", "localhost:1", "[::1]:8000", "127.0.0.1"):
            assert (await http.get("/v1/sessions", headers={"Host": host})).status_code == 200
    page = Origin(f"http://lockon.example:{server.port}")
    async with connect(f"ws://lockon.example:{server.port}/v1/stream", host="127.0.0.1", origin=page):
        pass
    with pytest.raises(InvalidStatus) as caught:
        async with connect(f"ws://evil.example:{server.port}/v1/stream", host="127.0.0.1"):
            pass
    assert caught.value.response.status_code == 421
    answer = await refused(server, additional_headers={"Host": "localhost"})
    assert (answer.status_code, json.loads(answer.body or b"")["detail"]) == (400, "a request has one Host")


async def test_a_body_that_does_not_come_is_not_waited_for(start_server: StartServer) -> None:
    server = start_server({"limits": {"body_timeout_s": 0.05}})
    head = (
        b"POST /v1/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(head)
    async with asyncio.timeout(TIMEOUT_S):
        answer = await reader.readuntil(b"}")
    assert b"408 Request Timeout" in answer
    assert b"request-timeout" in answer
    writer.close()


async def test_the_server_describes_itself(http: httpx.AsyncClient) -> None:
    openapi, asyncapi = [(await http.get(f"/v1/{name}.json")).json() for name in ("openapi", "asyncapi")]
    assert openapi["openapi"].startswith("3.1")
    assert "/v1/sessions/{session_id}/frames" in openapi["paths"]
    assert (asyncapi["asyncapi"], asyncapi["channels"]["stream"]["address"]) == ("3.0.0", "/v1/stream")
    limits = (await http.get("/v1/limits")).json()
    assert (limits["max_frame_bytes"], limits["bytes_per_s"], limits["sessions"]["limit"]) == (4 * 2**20, None, 64)
