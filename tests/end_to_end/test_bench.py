"""`lockon bench` against real servers: its figures, its files, and what it says where there is nothing to measure."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from models.package import load_tracker
from models.tracker import Tracker
from service.cli import app
from tests.drawing import Drawing, jpeg
from tests.end_to_end.conftest import RunningServer, StartServer
from tests.end_to_end.gated import GatedRuntime
from tests.end_to_end.guarding import KeyFile
from tests.end_to_end.processes import ServerProcess

SMALL = ("--size", "96x96")


def bench(server: RunningServer | str, *arguments: str | Path) -> Result:
    """Runs the command in this process."""
    url = server if isinstance(server, str) else server.http
    return CliRunner().invoke(app, ["bench", url, *map(str, arguments)], env={"COLUMNS": "200", "LOCKON_KEY": None})


def figures(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return read


def test_streams_that_the_server_can_carry_get_every_frame_answered(server: RunningServer, tmp_path: Path) -> None:
    files = ("--json", tmp_path / "a" / "found.json", "--html", tmp_path / "found.html")
    run = bench(server, "--streams", "6", "--fps", "10", "--seconds", "2", "--jitter", "5", *SMALL, *files)
    assert run.exit_code == 0, run.output
    found = figures(tmp_path / "a" / "found.json")
    assert found["outcomes"] == {"opened": 6}
    assert found["offered"] == pytest.approx(6 * 20, abs=6)
    assert found["answered"] >= found["offered"] - 12
    counters = found["counters"]
    assert counters["received"] == sum(counters[part] for part in ("processed", "dropped", "rejected", "waiting")) > 0
    assert found["counters_add_up"]
    assert found["accounted"] == found["sessions"] == 6
    assert 0 < found["age_ms"]["p50"] <= found["age_ms"]["p99"] <= found["age_ms"]["max"] < 2000
    assert found["fairness"]["jain"] > 0.9
    assert len(found["seconds"]) == 2
    assert sum(each["answered"] for each in found["seconds"]) == found["answered"]
    assert re.search(rf"{counters['received']} received = {counters['processed']} processed", run.output)
    page = (tmp_path / "found.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3
    assert not re.search(r"(src|href|url\(|@import)\W*https?:", page)


def test_streams_leave_and_others_come(server: RunningServer, tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    run = bench(server, "--streams", "4", "--fps", "10", "--seconds", "1.5", "--churn", "960", *SMALL, "--json", out)
    assert run.exit_code == 0, run.output
    found = figures(out)
    assert found["sessions"] == found["outcomes"]["opened"] > 4
    assert found["counters_add_up"]


def test_frames_that_nobody_answers_are_accounted_for_all_the_same(start_server: StartServer, tmp_path: Path) -> None:
    runtime = GatedRuntime()
    spec = load_tracker("dummy").spec
    stuck = start_server({"engine": {"workers": 1}}, lambda _name: Tracker(spec, runtime))
    out = tmp_path / "found.json"
    runtime.gate.clear()
    try:
        run = bench(stuck, "-n", "2", "--fps", "20", "--seconds", "1", *SMALL, "--json", out)
    finally:
        runtime.gate.set()
    assert run.exit_code == 0, run.output
    found = figures(out)
    counters = found["counters"]
    # Of each stream one frame starts its target, which takes no search; the next one is searched in without an end.
    assert found["answered"] <= 2
    assert counters["waiting"] > 0
    assert found["skipped"] > 0
    # The newest frame of each stream was still held by its client.
    assert found["offered"] == found["skipped"] + counters["received"] + 2


def test_a_folder_of_pictures_is_sent_as_it_is(server: RunningServer, tmp_path: Path) -> None:
    drawing = Drawing(width=96, height=64, side=16)
    for index, file in enumerate(drawing.jpegs(5)):
        (tmp_path / f"{index}.jpg").write_bytes(file)
    box = ",".join(f"{value:g}" for value in drawing.box(0).xywh())
    out = tmp_path / "found.json"
    run = bench(server, "-n", "1", "--fps", "10", "--seconds", "1", "--frames", tmp_path, "--box", box, "--json", out)
    assert run.exit_code == 0, run.output
    load = figures(out)["load"]
    assert load["size"] == [96, 64]
    assert load["frame_bytes"] == round(sum(len(drawing.jpeg(i)) for i in range(5)) / 5)


def test_pictures_of_several_sizes_are_no_stream(server: RunningServer, tmp_path: Path) -> None:
    for side in (64, 96):
        picture = Drawing(width=side, height=64, side=16).frame(0)
        (tmp_path / f"{side}.png").write_bytes(jpeg(picture))
    run = bench(server, "--frames", tmp_path)
    assert run.exit_code == 1
    assert "frames of several sizes" in run.stderr


@pytest.mark.parametrize(
    ("url", "words"),
    [("nowhere", "is no address"), ("http://127.0.0.1:1", "is a Lockon server running there?")],
)
def test_an_address_without_a_server_is_said_in_one_line(url: str, words: str) -> None:
    run = bench(url, "-n", "2", *SMALL)
    assert run.exit_code == 1
    assert words in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_refused_key_and_a_missing_one_are_said(start_server: StartServer, tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.toml")
    good = keys.new("loader")
    guarded = start_server({"auth": {"keys": keys.path}})
    for arguments in ((), ("--key", "lk_live_wrong")):
        run = bench(guarded, "-n", "2", *SMALL, *arguments)
        assert run.exit_code == 1
        assert "[unauthenticated]" in run.stderr
    run = bench(guarded, "-n", "2", "--fps", "5", "--seconds", "1", *SMALL, "--key", good)
    assert run.exit_code == 0, run.output
    assert good not in run.output


def test_a_full_server_is_said_and_a_nearly_full_one_is_measured(start_server: StartServer, tmp_path: Path) -> None:
    small = start_server({"limits": {"max_sessions": 2}})
    out = tmp_path / "found.json"
    run = bench(small, "-n", "3", "--fps", "5", "--seconds", "1", *SMALL, "--json", out)
    assert run.exit_code == 0, run.output
    assert figures(out)["outcomes"] == {"opened": 2, "refused no-capacity": 1}
    for _ in range(2):
        assert httpx.post(f"{small.http}/v1/sessions").status_code == 201
    run = bench(small, "-n", "3", *SMALL)
    assert run.exit_code == 1
    assert "[no-capacity]" in run.stderr


def test_a_server_that_ends_meanwhile_is_told_of(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "log").ready()
    out = tmp_path / "found.json"
    try:
        with ThreadPoolExecutor() as pool:
            arguments = ("-n", "2", "--fps", "10", "--seconds", "1.5", *SMALL, "--json", out)
            running = pool.submit(bench, server.http, *arguments)
            while len(httpx.get(f"{server.http}/v1/sessions", params={"state": "live"}).json()["items"]) < 2:
                assert not running.done()
            server.kill()
            run = running.result()
    finally:
        server.end()
    assert run.exit_code == 1
    assert "counters are unknown" in run.stderr
    found = figures(out)
    assert found["outcomes"]["interrupted 1006"] == 2
    assert found["accounted"] == 0


def test_an_unknown_model_is_said(server: RunningServer) -> None:
    run = bench(server, "-n", "1", "--model", "nope", *SMALL)
    assert run.exit_code == 1
    assert "'nope' is not loaded" in run.stderr
