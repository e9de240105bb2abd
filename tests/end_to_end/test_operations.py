"""Running it: health, metrics, the page's headers, start and stop, and what is imported."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from tests.drawing import Drawing
from tests.end_to_end.conftest import RunningServer, StartServer, streaming
from tests.waiting import until

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())


async def test_health_and_version_answer(http: httpx.AsyncClient) -> None:
    assert (await http.get("/livez")).json()["status"] == "ok"
    ready = (await http.get("/readyz")).json()
    assert (ready["status"], ready["models"]) == ("ok", {"dummy": "warm"})
    assert (await http.get("/version")).json()["protocol"] == "lockon.v1"
    models = (await http.get("/v1/models")).json()["items"]
    assert (models[0]["id"], models[0]["default"], models[0]["input"]) == ("dummy", True, 224)


async def test_metrics_count_every_frame(start_server: StartServer) -> None:
    server = start_server()
    async with streaming(server, FIRST) as talk:
        for index in range(3):
            await talk.ask(DRAWING.jpeg(index), "result")
        await talk.ask(b"", "warning")
        async with httpx.AsyncClient(base_url=server.http) as http:
            text = (await http.get("/metrics")).text
    for line in (
        'lockon_frames_received_total{kind="full",model="dummy"} 4.0',
        'lockon_frames_processed_total{model="dummy"} 3.0',
        'lockon_frames_rejected_total{reason="too_short"} 1.0',
        'lockon_frames_dropped_total{reason="newer"} 0.0',
        'lockon_frame_age_seconds_count{model="dummy"} 3.0',
        'lockon_stage_seconds_count{stage="infer"} 3.0',
        'lockon_sessions{model="dummy",state="live"} 1.0',
        "lockon_connections 1.0",
    ):
        assert line in text


async def test_made_up_paths_make_no_new_series(start_server: StartServer) -> None:
    server = start_server()
    async with httpx.AsyncClient(base_url=server.http) as http:
        await http.get("/first")
        await http.get("/v1/sessions/ses_first")
        await http.request("BREW", "/first")
        before = _series((await http.get("/metrics")).text)
        before = _series((await http.get("/metrics")).text)
        for index in range(30):
            await http.get(f"/made/up/{index}")
            await http.get(f"/v1/sessions/ses_{index}")
            await http.request(f"BREW{index}", "/first")
        assert _series((await http.get("/metrics")).text) == before


def _series(text: str) -> set[str]:
    return {re.split(r" [^ ]+$", line)[0] for line in text.splitlines() if line.startswith("lockon_http")}


async def test_metrics_can_be_switched_off(start_server: StartServer) -> None:
    server = start_server({"metrics": {"enabled": False}, "web": {"page": False}})
    async with httpx.AsyncClient(base_url=server.http) as http:
        for path in ("/metrics", "/", "/docs"):
            assert (await http.get(path)).status_code == 404


async def test_responses_keep_a_browser_strict(http: httpx.AsyncClient) -> None:
    headers = (await http.get("/version")).headers
    assert "script-src 'self'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert "server" not in headers


async def test_memory_kept_for_a_session_stays_within_its_limits(server: RunningServer) -> None:
    async with streaming(server, FIRST) as talk:
        registry = server.app.state.registry
        session = registry.find(talk.welcome["session"])
        for index in range(100):
            await talk.say(DRAWING.jpeg(index))
        await talk.ask({"type": "ping"}, "pong")
        assert session.held_bytes <= 17 * max(len(DRAWING.jpeg(index)) for index in range(100))
        assert session.waiting <= 2
    await until(lambda: len(registry) == 0)


@pytest.fixture
def process() -> subprocess.Popen[str]:
    program = "from service.settings import load_settings; from service.server import run; run(load_settings())"
    settings = {"LOCKON_MODELS__DEFAULT": "dummy", "LOCKON_SERVER__PORT": "0", "LOCKON_LIMITS__DRAIN_S": "0.2"}
    return subprocess.Popen(
        [sys.executable, "-c", program],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_process_says_where_it_is_ready_and_ends_on_sigterm_though_a_socket_is_open(
    process: subprocess.Popen[str],
) -> None:
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        address = re.fullmatch(r"Lockon is ready: (http://127\.0\.0\.1:\d+)\n", line)
        assert address is not None
        with urllib.request.urlopen(f"{address[1]}/readyz", timeout=10) as answer:
            assert answer.status == 200
        with connect(address[1].replace("http", "ws") + "/v1/stream") as stream:
            stream.send('{"type":"hello"}')
            stream.recv()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)
    assert process.returncode in (0, -signal.SIGTERM)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_on_sighup_the_models_are_those_that_the_settings_name_then(tmp_path: Path) -> None:
    file = tmp_path / "lockon.toml"
    file.write_text('[models]\ndefault = "dummy"\n', encoding="utf-8")
    code = "from service.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--config", str(file), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            address = process.stdout.readline().split()[-1]

            def change(text: str) -> None:
                file.write_text(text, encoding="utf-8")
                process.send_signal(signal.SIGHUP)

            change('[models]\ndefault = "siamfcpp_light"\nalso = ["dummy"]\n')
            asyncio.run(until(lambda: _ready_models(address) == ["siamfcpp_light", "dummy"]))
            change("[modles]\nalso = []\n")
            while "modles: there is no such setting" not in process.stderr.readline():
                pass
            change('[models]\ndefault = "siamfcpp_light"\nalso = ["nobody"]\n')
            while "no model 'nobody'" not in process.stderr.readline():
                pass
            asyncio.run(until(lambda: _ready_models(address) == ["siamfcpp_light"]))
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=10)
        finally:
            process.kill()  # `with` waits for its end, which may never come if something above failed


def _ready_models(address: str) -> list[str]:
    with urllib.request.urlopen(f"{address}/readyz", timeout=10) as answer:
        return sorted(json.load(answer)["models"], reverse=True)


def _refused_start(*arguments: str | Path) -> str:
    """What `lockon serve` says where it cannot start: one line, and no traceback."""
    command = [sys.executable, "-c", "from service.cli import main; main()", "serve", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert line.startswith("error: ")
    return line


def test_a_start_that_cannot_succeed_says_why_in_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"127.0.0.1:{port}: it is in use" in _refused_start("--model", "dummy", "--port", port)
    file = tmp_path / "lockon.toml"
    file.write_text("[server]\nprot = 9000\n", encoding="utf-8")
    assert "server.prot: there is no such setting" in _refused_start("--config", file)


def test_serving_imports_no_torch_and_without_traces_no_sdk_of_opentelemetry() -> None:
    program = "import sys, service.server; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "opentelemetry.sdk" not in done.stdout.split()
    assert "service" in loaded
    assert not loaded & {"torch", "training", "matplotlib", "pandas"}
