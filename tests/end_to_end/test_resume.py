"""A session goes on on another socket of the same server: its targets, its numbers, and who may have it."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from service.security.resume import GRACE_S, ResumeTokens
from tests.drawing import Drawing
from tests.end_to_end.conftest import MUST, RunningServer, StartServer, Talk, opened, streaming, with_header
from tests.end_to_end.guarding import KeyFile, bearer
from tests.waiting import until

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
KEY = "a key for tests, of no other use"


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> RunningServer:
    """A server whose signing key the tests know."""
    return start_server({"store": {"token_keys": [KEY]}})


def hello(token: str, last_seq: int | None = None) -> dict[str, Any]:
    """The first message of a socket that goes on with a session."""
    return {"type": "hello", "resume": {"token": token, "last_seq": last_seq, "epoch": 1}}


async def refusal(server: RunningServer, first: dict[str, Any], path: str = "/v1/stream") -> tuple[str, int | None]:
    """The error's code and the close code that answer this first message."""
    async with opened(server, path) as talk:
        error = await talk.ask(first, "error")
        assert error["fatal"]
        return error["code"], (await talk.close_code())[0]


async def cut(server: RunningServer, talk: Talk) -> Any:
    """Breaks the line without a word; returns the session."""
    session = server.app.state.registry.find(talk.welcome["session"])
    talk.socket.transport.abort()
    await until(lambda: session.outbox is None)
    return session


async def test_a_broken_line_is_resumed_with_the_same_targets_states_and_counters(server: RunningServer) -> None:
    async with streaming(server, FIRST, detached_ttl_s=60) as talk:
        for i in range(3):
            before = await talk.ask(DRAWING.jpeg(i), "result")
        token = talk.welcome["resume_token"]
        session = await cut(server, talk)
    async with opened(server) as talk:
        welcome = await talk.ask(hello(token, 3), "welcome")
        expected = {"session": session.id, "epoch": 2, "resumed": True, "last_seq": 3, "resume_ttl_s": 60}
        assert {name: welcome[name] for name in expected} == expected
        assert [target["state"] for target in welcome["targets"]] == ["tracking"]
        after = await talk.ask(DRAWING.jpeg(3), "result")
    assert (after["seq"], after["epoch"], after["dropped_total"]) == (4, 2, before["dropped_total"])
    assert after["targets"][0]["state"] == "tracking"
    assert session.counters.received == 4


async def test_results_of_must_process_frames_that_were_under_way_are_not_lost(server: RunningServer) -> None:
    async with streaming(server, FIRST, detached_ttl_s=60, mode="every") as talk:
        for i in range(4):
            await talk.say(with_header(DRAWING.jpeg(i), i + 1, flags=MUST))
        assert (await talk.hear_of("result"))["seq"] == 1
        token = talk.welcome["resume_token"]
        session = server.app.state.registry.find(talk.welcome["session"])
        await until(lambda: session.counters.received == 4)
        await cut(server, talk)
    async with opened(server) as talk:
        await talk.ask(hello(token, 1), "welcome")
        results = [await talk.hear_of("result") for _ in range(3)]
        assert [(result["seq"], result["epoch"]) for result in results] == [(2, 2), (3, 2), (4, 2)]


async def test_the_socket_that_was_there_before_is_told_and_hears_no_more(server: RunningServer) -> None:
    async with streaming(server, FIRST, detached_ttl_s=60) as old, opened(server) as new:
        await old.ask(DRAWING.jpeg(0), "result")
        token = (await new.ask(hello(old.welcome["resume_token"]), "welcome"))["resume_token"]
        assert (await old.hear_of("goaway"))["reason"] == "superseded"
        assert await old.close_code() == (4409, "superseded: another socket took the session over")
        assert (await new.ask(DRAWING.jpeg(1), "result"))["epoch"] == 2
        # The new one was heard, so whoever comes with an older token was superseded.
        assert await refusal(server, hello(old.welcome["resume_token"])) == ("stale_epoch", 4409)
        async with opened(server) as newest:
            assert (await newest.ask(hello(token), "welcome"))["epoch"] == 3


async def test_of_two_that_resume_at_once_one_wins_and_epochs_differ(server: RunningServer) -> None:
    async with streaming(server, FIRST, detached_ttl_s=60) as talk:
        token = talk.welcome["resume_token"]
        await cut(server, talk)
    async with opened(server) as one, opened(server) as two:
        welcomes = await asyncio.gather(one.ask(hello(token), "welcome"), two.ask(hello(token), "welcome"))
        assert sorted(welcome["epoch"] for welcome in welcomes) == [2, 3]
        loser = one if welcomes[0]["epoch"] == 2 else two
        assert (await loser.close_code())[0] == 4409


async def test_a_session_of_rest_is_taken_over_at_its_address_only_on_purpose(server: RunningServer) -> None:
    async with httpx.AsyncClient(base_url=server.http) as http:
        path = (await http.post("/v1/sessions", json={})).json()["stream_url"]
    async with opened(server, path) as old:
        welcome = await old.ask({"type": "hello"}, "welcome")
        assert await refusal(server, {"type": "hello"}, path) == ("session_attached", 4409)
        async with opened(server, path) as new:
            assert (await new.ask({"type": "hello", "takeover": True}, "welcome"))["epoch"] == 2
            assert (await old.close_code())[0] == 4409
            async with opened(server, path) as newest:
                assert (await newest.ask(hello(welcome["resume_token"]), "welcome"))["epoch"] == 3


def _changed(token: str, place: int) -> str:
    parts = token.split(".")
    parts[place] = ("A" if parts[place][0] != "A" else "B") + parts[place][1:]
    return ".".join(parts)


async def test_tokens_that_are_forged_expired_or_of_unknown_sessions_are_refused(server: RunningServer) -> None:
    async with streaming(server, FIRST, detached_ttl_s=60) as talk:
        token, session_id = talk.welcome["resume_token"], talk.welcome["session"]
        for forged in (_changed(token, 1), _changed(token, 2), _changed(token, 3), "", "v1...", "x" * 500, "v1.ä.b.c"):
            assert await refusal(server, hello(forged)) == ("bad_token", 4401)
        ours = ResumeTokens([KEY])
        old = ours.issue(session_id, "", 1, 60, time.time() - 60 - GRACE_S - 1)
        assert await refusal(server, hello(old)) == ("gone", 4410)
        early = ours.issue(session_id, "", 1, 60, time.time() + 3600)
        assert await refusal(server, hello(early)) == ("bad_token", 4401)
        unknown = ours.issue("ses_unknown", "", 1, 60, time.time())
        assert await refusal(server, hello(unknown)) == ("no_session", 4404)
        of_others = ours.issue(session_id, "somebody else", 1, 60, time.time())
        assert await refusal(server, hello(of_others)) == ("no_session", 4404)
        assert await refusal(server, hello("x" * 513)) == ("bad_hello", 4400)
        await talk.say({"type": "bye"})
        await talk.close_code()
    assert await refusal(server, hello(token)) == ("gone", 4410)


async def test_a_session_that_ends_with_its_socket_has_no_token(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        assert talk.welcome["resume_token"] is None


async def test_a_stolen_token_is_of_no_use_to_another_client(start_server: StartServer, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.toml")
    mine, other = keys.new("mine"), keys.new("other")
    guarded = start_server({"auth": {"keys": str(keys.path)}})
    async with connect(f"{guarded.ws}/v1/stream", additional_headers=bearer(mine)) as socket:
        talk = Talk(socket)
        token = (await talk.ask({"type": "hello", "create": {"detached_ttl_s": 60}}, "welcome"))["resume_token"]
        async with connect(f"{guarded.ws}/v1/stream", additional_headers=bearer(other)) as socket:
            thief = Talk(socket)
            assert (await thief.ask(hello(token), "error"))["code"] == "no_session"
            assert (await thief.close_code())[0] == 4404
        async with connect(f"{guarded.ws}/v1/stream", additional_headers=bearer(mine)) as socket:
            assert (await Talk(socket).ask(hello(token), "welcome"))["epoch"] == 2


async def test_a_full_server_has_room_for_those_who_come_back(start_server: StartServer) -> None:
    full = start_server({"limits": {"max_sessions": 1}})
    async with streaming(full, FIRST, detached_ttl_s=60) as talk:
        token = talk.welcome["resume_token"]
        await cut(full, talk)
    async with opened(full) as talk:
        assert (await talk.ask(hello(token), "welcome"))["resumed"]
    assert await refusal(full, {"type": "hello"}) == ("no_capacity", 4503)
