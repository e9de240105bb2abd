"""Keys and tickets at the doors of a running server: who comes in, and whose a session is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import lockon_client
import pytest
from redis.asyncio import Redis
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from service.security.keys import ORDINARY_SCOPES
from service.security.principals import Scope
from tests.drawing import Drawing
from tests.end_to_end.conftest import RunningServer, StartServer, Talk
from tests.end_to_end.guarding import KeyFile, bearer, offer, refused, rest, streams
from tests.redis_server import RedisServer, redis_or_skip

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
GOOD = DRAWING.jpeg(0)
OPEN = {"/livez", "/readyz", "/version"}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    """The file of keys that the servers of this module share."""
    return KeyFile(tmp_path_factory.mktemp("keys") / "keys.toml")


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    yield from redis_or_skip()


@pytest.fixture(scope="module")
def guarded(start_server: StartServer, keys: KeyFile) -> RunningServer:
    """A server that asks for keys, and lets models be loaded."""
    return start_server({"auth": {"keys": keys.path}, "models": {"default": "dummy", "admin": True}})


# Who comes in


async def test_every_door_asks_for_credentials(guarded: RunningServer) -> None:
    described = guarded.app.openapi()["paths"]
    doors = [(method, path) for path, methods in described.items() for method in methods if path not in OPEN]
    assert len(doors) >= 9
    async with rest(guarded) as http, rest(guarded, "lk_live_aaaaaaaa_" + "A" * 43) as stranger:
        for client in (http, stranger):
            for method, path in doors:
                answer = await client.request(method, path.replace("{", "").replace("}", ""))
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == 'Bearer realm="lockon"'
                assert answer.headers["content-type"] == "application/problem+json"
                assert answer.json()["code"] == "unauthenticated"
        for open_door in OPEN:
            assert (await http.get(open_door)).status_code == 200


async def test_sockets_are_refused_before_the_upgrade(guarded: RunningServer) -> None:
    for path in ("/v1/stream", "/v1/sessions/ses_unknown/stream"):
        for headers in ({}, bearer("lk_live_aaaaaaaa_" + "A" * 43), {"Authorization": "Basic bGs6bGs="}):
            answer = await refused(guarded, path, additional_headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="lockon"'
            assert json.loads(answer.body or b"")["code"] == "unauthenticated"


async def test_a_key_opens_rest_and_sockets(guarded: RunningServer, keys: KeyFile) -> None:
    key = keys.new("everything")
    await streams(guarded, additional_headers=bearer(key))
    async with rest(guarded, key) as http:
        assert (await http.get("/v1/models")).status_code == 200
        assert (await http.post("/v1/sessions")).status_code == 201


async def test_a_key_in_the_address_opens_nothing(guarded: RunningServer, keys: KeyFile) -> None:
    key = keys.new("careless")
    async with rest(guarded) as http:
        for name in ("key", "api_key", "token", "access_token", "ticket"):
            assert (await http.get(f"/v1/models?{name}={key}")).status_code == 401
            assert (await refused(guarded, f"/v1/stream?{name}={key}")).status_code == 401


async def test_scopes_are_kept(guarded: RunningServer, keys: KeyFile) -> None:
    looker, admin = keys.new("looker", Scope.MODELS), keys.new("admin", *ORDINARY_SCOPES, Scope.ADMIN)
    async with rest(guarded, looker) as http:
        assert (await http.get("/v1/models")).status_code == 200
        for method, path in (("POST", "/v1/sessions"), ("POST", "/v1/models"), ("GET", "/metrics")):
            answer = await http.request(method, path)
            assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert (await refused(guarded, additional_headers=bearer(looker))).status_code == 403
    async with rest(guarded, admin) as http:
        assert (await http.post("/v1/models", json={"id": "dummy"})).status_code == 201
        assert (await http.get("/metrics")).status_code == 200


async def test_a_revoked_key_is_out_at_once_and_its_socket_soon(guarded: RunningServer, keys: KeyFile) -> None:
    key = keys.new("revoked")
    async with connect(guarded.ws + "/v1/stream", additional_headers=bearer(key)) as socket:
        talk = Talk(socket)
        await talk.ask({"type": "hello", "create": {}}, "welcome")
        keys.revoke("revoked")
        assert (await refused(guarded, additional_headers=bearer(key))).status_code == 401
        assert (await talk.hear_of("goaway"))["reason"] == "token_expiring"
        assert (await talk.close_code())[0] == 4401


# Whose sessions


async def test_a_session_is_unknown_to_everybody_else(guarded: RunningServer, keys: KeyFile) -> None:
    async with rest(guarded, keys.new("alice")) as alice, rest(guarded, bob_key := keys.new("bob")) as bob:
        session = (await alice.post("/v1/sessions")).json()["id"]
        doors = [("GET", ""), ("DELETE", ""), ("POST", "/tickets")]
        for closed in (False, True):
            for method, end in doors:
                foreign = await bob.request(method, f"/v1/sessions/{session}{end}")
                unknown = await bob.request(method, f"/v1/sessions/ses_unknown{end}")
                assert foreign.status_code == unknown.status_code == 404
                assert foreign.json() | {"instance": ""} == unknown.json() | {"instance": ""}
            socket = await refused(guarded, f"/v1/sessions/{session}/stream", additional_headers=bearer(bob_key))
            assert socket.status_code == 404
            assert (await bob.get("/v1/sessions")).json()["items"] == []
            mine = [one["id"] for one in (await alice.get("/v1/sessions")).json()["items"]]
            assert mine == ([] if closed else [session])
            await alice.delete(f"/v1/sessions/{session}")
        assert (await alice.get(f"/v1/sessions/{session}")).status_code == 410


async def test_who_knows_the_id_of_a_session_cannot_move_it_at_the_store(
    redis: RedisServer, start_server: StartServer, keys: KeyFile
) -> None:
    store = {"url": redis.url, "token_keys": ["a key for tests, of no other use"]}
    servers = [start_server({"auth": {"keys": keys.path}, "store": store}) for _ in range(2)]
    alice, mallory = keys.new("alice"), keys.new("mallory")
    async with (
        Redis.from_url(redis.url) as kept,
        connect(servers[0].ws + "/v1/stream", additional_headers=bearer(alice)) as socket,
    ):
        talk = Talk(socket)
        create = {"targets": [{"box": FIRST}], "detached_ttl_s": 60}
        session = (await talk.ask({"type": "hello", "create": create}, "welcome"))["session"]
        name = f"lockon:{{{session}}}"
        while not await kept.hexists(name, "snapshot"):
            pass
        before = await kept.hmget(name, "epoch", "node")
        for server in servers:
            async with rest(server, mallory) as http:
                assert (await http.get(f"/v1/sessions/{session}")).status_code == 404
                assert (await http.post(f"/v1/sessions/{session}/frames", content=GOOD)).status_code == 404
            door = await refused(server, f"/v1/sessions/{session}/stream", additional_headers=bearer(mallory))
            assert door.status_code == 404
        assert await kept.hmget(name, "epoch", "node") == before
        assert (await talk.ask(GOOD, "result"))["epoch"] == 1


async def test_two_keys_of_one_client_share_its_sessions(guarded: RunningServer, keys: KeyFile) -> None:
    async with rest(guarded, keys.new("rotating")) as old, rest(guarded, keys.new("rotating")) as fresh:
        session = (await old.post("/v1/sessions")).json()["id"]
        assert (await fresh.get(f"/v1/sessions/{session}")).status_code == 200


# Tickets


async def _ticket(server: RunningServer, key: str, path: str = "/v1/tickets", **body: Any) -> dict[str, Any]:
    async with rest(server, key) as http:
        answer = await http.post(path, json=body)
        assert answer.status_code == 201, answer.text
        assert answer.headers["cache-control"] == "no-store"
        found: dict[str, Any] = answer.json()
    return found


async def test_a_ticket_opens_one_stream(guarded: RunningServer, keys: KeyFile) -> None:
    issued = await _ticket(guarded, keys.new("page"))
    assert issued["stream_url"] == "/v1/stream"
    async with connect(guarded.ws + "/v1/stream", subprotocols=offer(issued["ticket"])) as socket:
        assert socket.subprotocol == "lockon.v1"
    answer = await refused(guarded, subprotocols=offer(issued["ticket"]))
    assert (answer.status_code, json.loads(answer.body or b"")["code"]) == (401, "unauthenticated")


async def test_a_ticket_may_stand_in_the_address(guarded: RunningServer, keys: KeyFile) -> None:
    issued = await _ticket(guarded, keys.new("old-browser"))
    async with connect(f"{guarded.ws}/v1/stream?ticket={issued['ticket']}"):
        pass
    assert (await refused(guarded, f"/v1/stream?ticket={issued['ticket']}")).status_code == 401


async def test_a_ticket_is_for_its_session_and_its_page(guarded: RunningServer, keys: KeyFile) -> None:
    key = keys.new("strict-page")
    async with rest(guarded, key) as http:
        session = (await http.post("/v1/sessions")).json()["id"]
    ticket = partial(_ticket, guarded, key, f"/v1/sessions/{session}/tickets")
    stream = f"/v1/sessions/{session}/stream"
    assert (await refused(guarded, subprotocols=offer((await ticket())["ticket"]))).status_code == 401
    issued = await ticket(origin="http://localhost:3000")
    elsewhere = {"subprotocols": offer(issued["ticket"]), "origin": "http://localhost:4000"}
    assert (await refused(guarded, stream, **elsewhere)).status_code == 401
    issued = await ticket(origin="http://localhost:3000")
    assert issued["stream_url"] == stream
    async with connect(guarded.ws + stream, subprotocols=offer(issued["ticket"]), origin="http://localhost:3000"):  # type: ignore[arg-type]
        pass


async def test_what_a_ticket_pins_cannot_be_said_otherwise(guarded: RunningServer, keys: KeyFile) -> None:
    key = keys.new("pinned")
    for hello, expected in (({}, "welcome"), ({"mode": "latest"}, "error"), ({"label": "mine"}, "welcome")):
        issued = await _ticket(guarded, key, create={"mode": "every"})
        async with connect(guarded.ws + "/v1/stream", subprotocols=offer(issued["ticket"])) as socket:
            talk = Talk(socket)
            message = await talk.ask({"type": "hello", "create": hello}, expected)
            if expected == "welcome":
                assert message["mode"] == "every"
            else:
                assert (message["code"], message["pointer"]) == ("not_allowed", "/create/mode")
                assert (await talk.close_code())[0] == 4403


async def test_a_ticket_does_not_let_its_holder_change_what_others_have_settled(
    guarded: RunningServer, keys: KeyFile
) -> None:
    key = keys.new("settled")
    free, capped = {"type": "session.update", "op": "a", "label": "x"}, {"max_fps": None}
    issued = await _ticket(guarded, key, create={"max_fps": 5})
    async with connect(guarded.ws + "/v1/stream", subprotocols=offer(issued["ticket"])) as socket:
        talk = Talk(socket)
        await talk.ask({"type": "hello"}, "welcome")
        assert (await talk.ask(free, "ack"))["ok"]
        ack = await talk.ask({"type": "session.update", "op": "b", **capped}, "ack")
        assert (ack["ok"], ack["code"], ack["pointer"]) == (False, "not_allowed", "/max_fps")
    async with rest(guarded, key) as http:
        session = (await http.post("/v1/sessions", json={"max_fps": 5})).json()["id"]
    issued = await _ticket(guarded, key, f"/v1/sessions/{session}/tickets")
    stream = f"{guarded.ws}/v1/sessions/{session}/stream"
    async with connect(stream, subprotocols=offer(issued["ticket"])) as socket:
        talk = Talk(socket)
        await talk.ask({"type": "hello"}, "welcome")
        assert (await talk.ask(free, "ack"))["code"] == "not_allowed"
    async with connect(stream, additional_headers=bearer(key)) as socket:
        talk = Talk(socket)
        await talk.ask({"type": "hello", "takeover": True}, "welcome")
        assert (await talk.ask(free | capped, "ack"))["ok"]


async def test_a_page_of_another_site_needs_more_than_a_ticket(guarded: RunningServer, keys: KeyFile) -> None:
    issued = await _ticket(guarded, keys.new("stolen"))
    for origin in ("https://evil.example", "null"):
        answer = await refused(guarded, subprotocols=offer(issued["ticket"]), origin=origin)
        assert (answer.status_code, json.loads(answer.body or b"")["code"]) == (403, "origin-not-allowed")


async def test_a_ticket_alone_is_no_protocol(guarded: RunningServer, keys: KeyFile) -> None:
    issued = await _ticket(guarded, keys.new("no-protocol"))
    only = [Subprotocol(f"lockon.ticket.{issued['ticket']}")]
    assert (await refused(guarded, subprotocols=only)).status_code == 400


async def test_unused_tickets_are_bounded(guarded: RunningServer, keys: KeyFile) -> None:
    async with rest(guarded, keys.new("hoarder")) as http:
        answers = [await http.post("/v1/tickets") for _ in range(65)]
    assert [answer.status_code for answer in answers] == [201] * 64 + [429]
    assert answers[-1].headers["retry-after"] == "30"


# The Python client


async def test_the_python_client_takes_keys_and_tickets(guarded: RunningServer, keys: KeyFile) -> None:
    key = keys.new("python")
    frames = [DRAWING.jpeg(index) for index in range(3)]
    async with lockon_client.track(guarded.ws, box=FIRST, every=True, key=key) as t:
        assert [result.seq async for result in t.results(frames)] == [1, 2, 3]
    issued = await _ticket(guarded, key)
    async with lockon_client.track(guarded.ws, box=FIRST, every=True, ticket=issued["ticket"]) as t:
        assert [result.seq async for result in t.results(frames)] == [1, 2, 3]
    for wrong in ({"key": key[:-1]}, {"ticket": issued["ticket"]}, {}):
        with pytest.raises(lockon_client.NotAllowed):
            async with lockon_client.track(guarded.ws, box=FIRST, **wrong):
                pass
