"""The page and its server: other models, keys, a full server, one that stops, a broken line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, WebSocketRoute

from models.package import load_tracker
from tests.end_to_end.browsing import (
    drag_on_target,
    opened,
    overlaps,
    shown_words,
    use_camera,
    wait_for_results,
    wait_until,
)
from tests.end_to_end.conftest import StartServer
from tests.end_to_end.forwarding import forwarding_in_a_thread
from tests.end_to_end.guarding import KeyFile
from tests.end_to_end.page.fake_camera import Recording
from tests.end_to_end.processes import ServerProcess

pytestmark = pytest.mark.browser


def test_another_model_takes_the_targets_over(
    browser: Browser, start_server: StartServer, recording: Recording
) -> None:
    models = {"models": {"default": "dummy", "also": ["second"]}}
    server = start_server(models, lambda _: load_tracker("dummy"))
    with opened(browser, f"{server.http}/") as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        page.select_option("#model", "second")
        wait_for_results(page, 5)
        assert np.median(overlaps(page, recording, samples=6)) > 0.7
        (session,) = server.app.state.registry.all()
        assert session.model.id == "second"


def test_a_model_that_was_retired_meanwhile_is_told_in_plain_words_and_leaves_the_list(
    browser: Browser, start_server: StartServer, recording: Recording
) -> None:
    models = {"models": {"default": "dummy", "also": ["second"], "admin": True}}
    server = start_server(models, lambda _: load_tracker("dummy"))
    with opened(browser, f"{server.http}/") as page:
        use_camera(page)
        page.select_option("#model", "second")
        assert httpx.delete(f"{server.http}/v1/models/second").status_code == 202
        drag_on_target(page, recording)
        assert "second" in shown_words(page)
        wait_until(page, "document.querySelector('#model').options.length === 1")
        drag_on_target(page, recording)
        wait_for_results(page, 3)


def test_a_box_on_a_frame_that_the_server_forgot_starts_on_the_next_one(
    browser: Browser, page_url: str, recording: Recording
) -> None:
    asked: list[Any] = []

    def forgetful(page_side: WebSocketRoute) -> None:
        server_side = page_side.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            operation = json.loads(message) if isinstance(message, str) else {}
            if operation.get("type") != "target.add":
                server_side.send(message)
                return
            asked.append(operation["on_seq"])
            if len(asked) > 1:
                server_side.send(message)
                return
            refusal = {"type": "ack", "op": operation["op"], "ok": False, "code": "seq_too_old", "detail": "too old"}
            page_side.send(json.dumps(refusal))

        page_side.on_message(pass_on)

    with opened(browser, page_url) as page:
        page.route_web_socket("**/v1/stream", forgetful)
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        assert isinstance(asked[0], int)
        assert asked[1:] == ["next"]
        assert page.is_hidden("#message")


def test_a_server_with_keys_asks_for_one(
    browser: Browser, start_server: StartServer, recording: Recording, tmp_path: Path
) -> None:
    keys = KeyFile(tmp_path / "keys.toml")
    server = start_server({"auth": {"keys": keys.path}})
    with opened(browser, f"{server.http}/", fails="401") as page:
        page.wait_for_selector("#access:not([hidden])")
        page.fill("#key", "lk_live_wrong")
        page.click("#access button")
        assert shown_words(page) == "The server does not take this key: this API key is not valid"
        page.fill("#key", keys.new("page"))
        page.click("#access button")
        wait_until(page, "document.querySelector('#access').hidden")
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        keys.revoke("page")
        page.wait_for_selector("#access:not([hidden])")


def test_a_full_server_is_told_in_plain_words(browser: Browser, page_url: str, recording: Recording) -> None:
    with opened(browser, page_url) as page:
        page.route_web_socket("**/v1/stream", lambda socket: socket.close(code=4503, reason="no_capacity"))
        use_camera(page)
        drag_on_target(page, recording)
        assert "The server is full" in shown_words(page)
        assert page.inner_text("#connection") == "closed"


def test_a_server_that_stops_is_told_in_plain_words_and_so_is_one_that_is_gone(
    browser: Browser, recording: Recording, tmp_path: Path
) -> None:
    server = ServerProcess(tmp_path / "log", limits__drain_s=0.1).ready()
    with opened(browser, f"{server.http}/", fails="ERR_CONNECTION_REFUSED") as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        server.terminate()
        server.wait()
        wait_until(page, "window.lockonPage.connection === 'closed'")
        wait_until(page, "document.querySelector('#words').textContent.endsWith('Drag a box to start again.')")
        assert page.locator("#targets li").count() == 0
        drag_on_target(page, recording)
        wait_until(page, "document.querySelector('#words').textContent.startsWith('The server cannot be reached.')")
    server.end()


@pytest.mark.slow
def test_a_server_that_stops_and_saves_nothing_leaves_the_targets_to_the_next_one(
    browser: Browser, start_server: StartServer, recording: Recording, tmp_path: Path
) -> None:
    other = start_server()
    stopping = ServerProcess(tmp_path / "log", limits__drain_s=0.3).ready()
    at_once = "Math.random = () => 0; // while the boxes are fresh"
    with forwarding_in_a_thread(stopping.port) as line, opened(browser, line.http, script=at_once) as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        line.target = other.port
        stopping.terminate()
        stopping.wait()
        stopping.end()
        wait_until(page, "window.lockonPage.connection === 'connected'")
        wait_for_results(page, 3)
        assert page.locator("#targets li").count() == 1
        assert page.locator("#message").is_hidden()
    (session,) = other.app.state.registry.all()
    assert session.request.targets[0].id == "t1"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("bad_token", "The server was restarted and does not know this stream any more. Drag a box to start again."),
        ("no_session", "there is no such session. Drag a box to start again."),
    ],
)
def test_a_stream_that_cannot_be_gone_on_with_is_told_in_sentences(
    browser: Browser, page_url: str, recording: Recording, code: str, words: str
) -> None:
    sockets: list[WebSocketRoute] = []

    def forgetting(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if len(sockets) == 1:
            socket.connect_to_server()
            return
        error = {"type": "error", "code": code, "detail": "there is no such session", "fatal": True}
        socket.send(json.dumps(error))
        socket.close(code=4401)

    with opened(browser, page_url) as page:
        page.route_web_socket("**/v1/stream", forgetting)
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        sockets[0].close(code=1012)
        wait_until(page, "window.lockonPage.connection === 'closed'")
        wait_until(page, "document.querySelector('#words').textContent.endsWith('to start again.')")
        assert shown_words(page) == words


def test_while_the_line_is_broken_nothing_is_said_of_the_target(
    browser: Browser, page_url: str, recording: Recording
) -> None:
    sockets: list[WebSocketRoute] = []

    def falling_silent(socket: WebSocketRoute) -> None:
        sockets.append(socket)
        if len(sockets) == 1:
            socket.connect_to_server()

    with opened(browser, page_url) as page:
        page.route_web_socket("**/v1/stream", falling_silent)
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        assert (page.inner_text("#state"), page.inner_text("#targets .what")[:8]) == ("tracking", "tracking")
        sockets[0].close(code=1012)
        wait_until(page, "window.lockonPage.connection === 'connecting'")
        assert [page.inner_text(name) for name in ("#state", "#score", "#targets .what")] == ["–"] * 3


def test_a_broken_line_is_told_and_mended_with_the_same_target(
    browser: Browser, start_server: StartServer, recording: Recording
) -> None:
    server = start_server()
    with opened(browser, f"{server.http}/") as page:
        use_camera(page)
        drag_on_target(page, recording)
        wait_for_results(page, 3)
        (connection,) = server.connections()
        connection.loop.call_soon_threadsafe(connection.transport.abort)
        wait_until(page, "window.lockonPage.result?.epoch === 2")
        wait_for_results(page, 3)
        assert page.locator("#targets li").count() == 1
        assert page.inner_text("#connection") == "connected"
        assert page.inner_text("#state") != "–"
        assert page.locator("#message").is_hidden()
