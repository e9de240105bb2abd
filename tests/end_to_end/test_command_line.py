"""The `lockon` command as a user calls it: exit codes, what stands on stdout and stderr, and the files it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from service.commands.failures import WITH_WINDOWS
from tests.drawing import Drawing

DOCS = Path(__file__).parents[2] / "docs"
# An odd width, which the drawn video has to keep.
DRAWING = Drawing(width=161, height=120, side=24)


def lockon(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own, without a display or a terminal."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    code = "from service.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=60, env={**kept, "COLUMNS": "120", **environment}
    )


def true_box(index: int) -> tuple[int, int, int, int]:
    x, y, w, h = map(int, DRAWING.box(index).xywh())
    return x, y, w, h


FIRST_BOX = ",".join(map(str, true_box(0)))


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    for name in ("ant", "bee", "cat"):
        DRAWING.write_sequence(folder / name, 8)
    return folder


def assert_one_line_error(run: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert run.returncode == 1, run.stderr
    assert run.stdout == ""
    (line,) = run.stderr.splitlines()
    assert line.startswith("error: ")
    for part in parts:
        assert part in line


def test_help_names_every_command_and_loads_nothing_heavy() -> None:
    run = lockon("--help")
    assert run.returncode == 0
    for command in ("serve", "track", "evaluate", "models", "train", "export", "config"):
        assert f" {command} " in run.stdout
    code = (
        "import sys, service.cli\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'cv2', 'numpy', 'onnxruntime', 'fastapi', 'training')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("command", ["serve", "track", "evaluate", "models", "train", "export", "config"])
def test_every_command_has_a_help(command: str) -> None:
    run = lockon(command, "--help")
    assert run.returncode == 0
    assert "Usage: lockon" in run.stdout or f"{command} [OPTIONS]" in run.stdout


def test_version() -> None:
    assert lockon("--version").stdout.startswith("lockon 0.")


def test_evaluate_writes_json_boxes_and_tables(sequences: Path, tmp_path: Path) -> None:
    report_path, boxes = tmp_path / "new" / "report.json", tmp_path / "boxes"
    run = lockon("evaluate", sequences, "--model", "dummy", "--json", report_path, "--boxes", boxes)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    for shown in ("ant", "bee", "cat", "dummy", "tuning half", "held-out half"):
        assert shown in run.stdout
    report = json.loads(report_path.read_text())
    assert list(report["sequences"]) == ["ant", "bee", "cat"]
    assert report["presence"]["real"]["tuning"]["lost_frames"] == 0
    assert report["mean"]["auc"] > 0.8
    assert report["mean"]["frames"] == 21
    assert report["tuning_half"]["sequences"] == 2
    lines = (boxes / "bee.txt").read_text().splitlines()
    assert len(lines) == 8
    assert lines[0] == ",".join(f"{number:.4f}" for number in true_box(0))

    again = lockon("evaluate", sequences, "--from-boxes", boxes, "--only", "bee", "--json", tmp_path / "again.json")
    assert again.returncode == 0, again.stderr
    scored = json.loads((tmp_path / "again.json").read_text())
    assert scored["sequences"]["bee"]["auc"] == report["sequences"]["bee"]["auc"]
    # A sequence stays in its half whatever else is evaluated.
    assert scored["tuning_half"] is None


def test_evaluate_gives_the_same_boxes_every_time(sequences: Path, tmp_path: Path) -> None:
    for folder in ("first", "second"):
        assert lockon("evaluate", sequences, "--model", "dummy", "--boxes", tmp_path / folder).returncode == 0
    for path in sorted((tmp_path / "first").iterdir()):
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


@pytest.mark.skipif(not hasattr(cv2, "TrackerKCF"), reason="KCF needs the contrib build of OpenCV")
def test_evaluate_runs_other_trackers_beside_the_model(sequences: Path, tmp_path: Path) -> None:
    run = lockon("evaluate", sequences / "ant", "--model", "dummy", "--beside", "kcf", "--boxes", tmp_path)
    assert run.returncode == 0, run.stderr
    assert "kcf" in run.stdout
    assert (tmp_path / "ant.txt").is_file()
    assert (tmp_path / "kcf" / "ant.txt").is_file()


def test_evaluate_says_in_one_line_what_is_wrong(sequences: Path, tmp_path: Path) -> None:
    assert_one_line_error(lockon("evaluate", tmp_path / "gone", "--model", "dummy"), "gone", "no such folder")
    assert_one_line_error(lockon("evaluate", sequences, "--model", "nobody"), "'nobody'", "dummy")
    assert_one_line_error(lockon("evaluate", sequences, "--model", "dummy", "--only", "dog"), "'dog'", "ant, bee, cat")
    assert_one_line_error(lockon("evaluate", sequences, "--model", "dummy", "--beside", "nano"), "--nano DIR")
    assert lockon("evaluate", sequences, "--model", "dummy", "--beside", "unheard").returncode == 2
    assert lockon("evaluate", sequences, "--from-boxes", tmp_path, "--absences").returncode == 2


def test_track_writes_a_line_and_a_drawn_frame_for_each_frame(sequences: Path, tmp_path: Path) -> None:
    video, lines = tmp_path / "drawn.mp4", tmp_path / "results.jsonl"
    run = lockon("track", sequences / "ant", "--box", FIRST_BOX, "--model", "dummy", "--out", video, "--json", lines)
    assert run.returncode == 0, run.stderr
    assert run.stdout == ""
    assert run.stderr.startswith("8 frames in ")
    results = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [result["frame"] for result in results] == list(range(8))
    assert results[0] == {"frame": 0, "box": list(true_box(0)), "score": 1.0, "state": "initializing"}
    assert results[-1]["state"] == "tracking"
    np.testing.assert_allclose(results[-1]["box"], true_box(7), atol=2)

    capture = cv2.VideoCapture(str(video))
    drawn = []
    while True:
        found, frame = capture.read()
        if not found:
            break
        drawn.append(frame)
    assert len(drawn) == 8
    x, y, _, height = true_box(7)
    blue, green, red = drawn[-1][y + height // 2, x - 1 : x + 2].astype(int).mean(axis=0)
    assert green > max(blue, red) + 20

    # The video that was written is a source as well; without files the lines are the output.
    streamed = lockon("track", video, "--box", FIRST_BOX, "--model", "dummy", "--cadence", "2")
    assert streamed.returncode == 0, streamed.stderr
    assert [json.loads(line)["frame"] for line in streamed.stdout.splitlines()] == list(range(8))


def test_track_says_in_one_line_what_is_wrong(sequences: Path, tmp_path: Path) -> None:
    ant, model = sequences / "ant", ("--model", "dummy")
    not_video = tmp_path / "notes.txt"
    not_video.write_text("no video")
    assert_one_line_error(lockon("track", tmp_path / "gone.mp4", "--box", "1,2,9,9", *model), "gone.mp4", "no such")
    assert_one_line_error(lockon("track", not_video, "--box", "1,2,9,9", *model), "notes.txt", "cannot be opened")
    assert_one_line_error(lockon("track", ant, "--box", "900,2,9,9", *model), "904.5", "inside the frame")
    assert_one_line_error(lockon("track", ant, "--box", "1,2,nan,9", *model), "w is nan")
    assert_one_line_error(lockon("track", ant, "--select", *model), "--box x,y,w,h")
    out = ("--out", tmp_path / "drawn.unheard")
    assert_one_line_error(lockon("track", ant, "--box", FIRST_BOX, *model, *out), "drawn.unheard")


def test_whoever_wants_to_drag_the_box_is_told_what_that_needs() -> None:
    helped = "".join(lockon("track", "--help").stdout.replace("│", "").split())
    assert "".join(WITH_WINDOWS.split()) in helped
    for document in ("quick-start.md", "how-to.md"):
        assert WITH_WINDOWS in (DOCS / document).read_text()


@pytest.mark.parametrize("arguments", [(), ("--box", "1,2,3"), ("--box", "1,2,9,9", "--select")])
def test_track_with_a_wrong_usage_ends_with_2(sequences: Path, arguments: tuple[str, ...]) -> None:
    assert lockon("track", sequences / "ant", "--model", "dummy", *arguments).returncode == 2


@pytest.mark.parametrize("option", ["--out", "--json"])
@pytest.mark.parametrize("spelled", ["video.mp4", "folder/../video.mp4", "linked.mp4"])
def test_track_never_overwrites_its_source(tmp_path: Path, option: str, spelled: str) -> None:
    video = tmp_path / "video.mp4"
    video.write_bytes(b"of some worth")
    (tmp_path / "folder").mkdir()
    (tmp_path / "linked.mp4").hardlink_to(video)
    written = ("track", video, "--box", FIRST_BOX, "--model", "dummy", option, tmp_path / spelled)
    assert_one_line_error(lockon(*written), spelled, option, "overwrite the source")
    assert video.read_bytes() == b"of some worth"


def test_track_overwrites_no_image_of_its_source_and_writes_two_files(sequences: Path, tmp_path: Path) -> None:
    arguments = ("track", sequences / "ant", "--box", FIRST_BOX, "--model", "dummy")
    image = next((sequences / "ant" / "img").iterdir())
    before = image.read_bytes()
    assert_one_line_error(lockon(*arguments, "--json", image), str(image), "overwrite the source")
    assert image.read_bytes() == before
    same = tmp_path / "same.mp4"
    assert_one_line_error(lockon(*arguments, "--json", same, "--out", same), str(same), "the same file")
    assert not same.exists()


def test_track_refuses_to_write_frames_of_several_sizes_as_one_video(tmp_path: Path) -> None:
    folder = DRAWING.write_sequence(tmp_path / "square", 3)
    cv2.imwrite(str(folder / "img" / "00000003.png"), np.zeros((90, 90, 3), np.uint8))
    out = ("--out", tmp_path / "drawn.mp4")
    run = lockon("track", folder, "--box", FIRST_BOX, "--model", "dummy", *out)
    assert_one_line_error(run, "90x90", "161x120")


def test_models_are_listed_and_shown(tmp_path: Path) -> None:
    assert "dummy" in lockon("models").stdout
    shown = json.loads(lockon("models", "show", "dummy").stdout)
    assert shown["spec"]["crop"]["search_size"] == 224
    assert_one_line_error(lockon("models", "show", "nobody"), "'nobody'")


def test_config_shows_the_settings_in_force(tmp_path: Path) -> None:
    file = tmp_path / "lockon.toml"
    file.write_text('[server]\nport = 9001\nhost = "0.0.0.0"\n')
    run = lockon("config", "--config", file, LOCKON_SERVER__PORT="9002")
    assert run.returncode == 0, run.stderr
    settings = json.loads(run.stdout)
    assert settings["server"]["port"] == 9002
    assert settings["server"]["host"] == "0.0.0.0"
    assert_one_line_error(lockon("config", LOCKON_SERVER__POORT="1"), "server.poort")


def test_serve_refuses_wrong_settings_before_it_starts() -> None:
    assert_one_line_error(lockon("serve", "--model", "nobody", "--port", "0"), "'nobody'")
    assert_one_line_error(lockon("serve", "--log-level", "loud"), "server.log_level")
    assert lockon("serve", "--port", "70000").returncode == 2


def test_training_commands_report_missing_files(tmp_path: Path) -> None:
    assert_one_line_error(lockon("train", tmp_path / "gone.toml"), "gone.toml")
    assert lockon("export", tmp_path / "gone.pt", "--out", tmp_path / "package").returncode == 2


def test_training_without_the_extra_names_the_pip_command(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("")
    # As on a machine without torch: the finder says that there is none.
    code = (
        "import importlib.util, sys\n"
        "found = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *rest: None if name == 'torch' else found(name, *rest)\n"
        f"sys.argv = ['lockon', 'train', {str(recipe)!r}]\n"
        "from service.cli import main; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert_one_line_error(run, "torch", "pip install 'lockon[train]'")
