"""`lockon evaluate --benchmark`: from a data set to numbers, in this process, in several, and through a server."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from service.cli import app
from service.commands.through import ServiceTracker, ThroughFailed
from tests import trees
from tests.drawing import Drawing

from .conftest import RunningServer, StartServer
from .forwarding import Forwarder

RUNNER = CliRunner()


def lockon(*arguments: str | Path) -> Result:
    """The command in this process: each start of another one takes seconds."""
    return RUNNER.invoke(app, [str(each) for each in arguments], env={"COLUMNS": "120"})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    for seed, name in enumerate(("ant", "bee")):
        Drawing(seed=seed, width=160, height=120, side=24).write_sequence(folder / name, 12, absent=(5,))
    # A rate of its own: the server counts time as the recording does.
    (folder / "bee" / "meta.json").write_text('{"fps": 10, "attributes": ["slow"]}')
    return folder


def numbers(path: Path) -> Any:
    (scores,) = json.loads(path.read_text())["trackers"].values()
    scores["overall"].pop("fps")
    return scores


def test_a_benchmark_gives_the_same_table_through_a_server_and_in_this_process(
    data: Path, tmp_path: Path, server: RunningServer
) -> None:
    arguments = ("evaluate", "--benchmark", "folder", "--root", data, "--out", tmp_path, "--model", "dummy")
    here = lockon(*arguments)
    assert here.exit_code == 0, here.stderr
    assert "2 sequences run, 0 done before" in here.stderr
    nobody = lockon(*arguments, "--through", "ws://127.0.0.1:80000")
    assert (nobody.exit_code, len(nobody.stderr.splitlines())) == (1, 1)
    assert not (tmp_path / "folder" / "results" / "dummy-service").exists(), "nothing is marked as that server's"
    there = lockon(*arguments, "--through", server.ws)
    assert there.exit_code == 0, there.stderr
    results = tmp_path / "folder" / "results"
    for name in ("ant.txt", "bee.txt"):
        assert (results / "dummy" / name).read_bytes() == (results / "dummy-service" / name).read_bytes()
    ours, served = (numbers(tmp_path / "folder" / f"{name}.json") for name in ("dummy", "dummy-service"))
    assert ours == served
    assert ours["overall"]["lockon.success"] > 0.8
    assert set(ours["attributes"]) == {"slow"}
    for written in ("dummy.html", "dummy-success.png", "dummy-precision.png", "dummy-normalized.png"):
        assert (tmp_path / "folder" / written).stat().st_size > 1000
    assert "pysot.success" in here.stdout
    again = lockon(*arguments, "--against", results / "dummy-service")
    assert "0 sequences run, 2 done before" in again.stderr
    assert set(json.loads((tmp_path / "folder" / "dummy.json").read_text())["trackers"]) == {"dummy", "dummy-service"}
    # Another one of the same name, and the judged one itself, which is not shown twice.
    other = shutil.copytree(results / "dummy-service", tmp_path / "other" / "dummy")
    lockon(*arguments, "--against", other, "--against", results / "dummy")
    assert set(json.loads((tmp_path / "folder" / "dummy.json").read_text())["trackers"]) == {"dummy", "other/dummy"}
    scored = lockon(*arguments[:-2], "--from-boxes", results / "dummy")
    assert scored.exit_code == 0, scored.stderr
    assert numbers(tmp_path / "folder" / "dummy.json") == ours


async def test_a_server_that_lost_the_session_in_the_middle_of_a_sequence_ends_the_run(
    server: RunningServer, start_server: StartServer
) -> None:
    drawing, other = Drawing(width=160, height=120, side=24), start_server()
    async with Forwarder(server.port).running() as line:
        tracker = ServiceTracker(line.ws, None)
        tracker.start(drawing.frame(0), drawing.box(0))
        await asyncio.to_thread(tracker.follow, drawing.frame(1), 0.04)
        line.target = other.port
        line.cut()
        with pytest.raises(ThroughFailed, match="could not be resumed"):
            await asyncio.to_thread(tracker.follow, drawing.frame(2), 0.08)
        await asyncio.to_thread(tracker.close)


def test_files_for_a_server_are_written_where_the_truth_is_not_published(tmp_path: Path) -> None:
    root = trees.trackingnet(tmp_path / "data")
    run = lockon("evaluate", "--benchmark", "trackingnet", "--root", root, "--out", tmp_path, "-m", "dummy")
    assert run.exit_code == 0, run.stderr
    assert "its server has the scores" in run.stderr
    assert (tmp_path / "trackingnet-test" / "dummy.zip").is_file()


def test_a_benchmark_says_in_one_line_what_is_wrong(data: Path, tmp_path: Path) -> None:
    def failed(*arguments: str | Path) -> Result:
        return lockon("evaluate", "--out", tmp_path, "--root", data, *arguments)

    nobody = ("--through", "ws://127.0.0.1:9", "--jobs", "2")
    for arguments, told in (
        (("--benchmark", "otb"), ("'otb'", "otb100")),
        (("--benchmark", "otb100"), ("holds no OTB",)),
        (("--benchmark", "folder", "--only", "cow"), ("'cow'", "ant, bee")),
        (("--benchmark", "folder", "--model", "nobody"), ("'nobody'",)),
        (("--benchmark", "folder", *nobody), ("ws://127.0.0.1:9",)),
    ):
        run = failed(*arguments)
        assert (run.exit_code, run.stdout) == (1, "")
        (line,) = run.stderr.splitlines()
        assert line.startswith("error: ")
        assert all(part in line for part in told)
    assert lockon("evaluate", "--benchmark", "folder").exit_code == 2
    assert lockon("evaluate", data, "--benchmark", "folder", "--root", data).exit_code == 2
    assert lockon("evaluate", data, "--through", "ws://127.0.0.1:9").exit_code == 2
    assert failed("--benchmark", "folder", "--absences").exit_code == 2
    assert failed("--benchmark", "folder", "--from-boxes", tmp_path, "--through", "ws://127.0.0.1:9").exit_code == 2


def test_tuning_goes_on_in_its_folder_and_reports_both_halves(data: Path, tmp_path: Path) -> None:
    space = ("--penalty", "0:0.5:0.5", "--window", "0.9", "--rate", "0.3")
    arguments = ("tune", "--root", data, "--model", "dummy", "--method", "grid", "--out", tmp_path, *space)
    for trials in ("1", "5"):
        run = lockon(*arguments, "--trials", trials)
        assert "tuning half (1)" in run.stdout
        assert "held-out half (1)" in run.stdout
        assert len(list((tmp_path / "trials").iterdir())) == min(int(trials), 2)
        # Where nothing better is found the command says so, and fails: there is nothing to write.
        assert run.exit_code == ("none of the trials is better" in run.stderr)
    for wrong in (
        ("--method", "guess"),
        ("--penalty", "1:0"),
        ("--rate", "0:0.5:0.1"),
        ("--benchmark", "otb"),
        ("--write", tmp_path / "p"),
    ):
        run = lockon(*arguments, *wrong)
        assert run.exit_code == 1
        assert run.stderr.startswith("error: ")
