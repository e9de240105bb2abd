"""`lockon models import` as a user calls it: from a foreign checkpoint to boxes, and what is refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from models.package import read_package
from models.variants import VARIANTS
from service.cli import app
from tests.drawing import Drawing
from tests.foreign import as_training_writes, tinyconv_state

DRAWING = Drawing()

Run = subprocess.CompletedProcess[str]


def lockon(folder: Path, *arguments: str | Path, **environment: str) -> Run:
    code = "from service.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=folder,
        env={**os.environ, "COLUMNS": "120", "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
    )


def refusal(folder: Path, *arguments: str | Path) -> str:
    """What a refused command says on stderr; it leaves nothing behind."""
    run = lockon(folder, *arguments)
    assert run.returncode == 1, run.stderr
    assert run.stdout == ""
    assert run.stderr.startswith("error: ")
    assert not (folder / "packages").exists()
    return run.stderr


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("downloads") / "epoch-19.pkl"
    torch.save(as_training_writes(tinyconv_state()), path)
    return path


@pytest.fixture(scope="module")
def imported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A user's folder after an import, and what the command said."""
    folder = tmp_path_factory.mktemp("home")
    return folder, lockon(folder, "models", "import", checkpoint, "--name", "mine")


@pytest.fixture
def package(imported: tuple[Path, Run], tmp_path: Path) -> Path:
    """A copy of the imported package, to be damaged."""
    return Path(shutil.copytree(imported[0] / "packages" / "mine", tmp_path / "mine"))


def test_a_checkpoint_becomes_a_package_in_the_folder_that_the_command_names(
    imported: tuple[Path, Run], checkpoint: Path
) -> None:
    folder, run = imported
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""
    first, difference, hint = run.stdout.splitlines()
    assert first == "packages/mine: siamfcpp_tinyconv, found by its names and shapes"
    assert difference.startswith("graphs differ from the network by at most ")
    assert hint == "serve it: lockon serve --model packages/mine"
    package = read_package(folder / "packages" / "mine")
    assert package.spec == VARIANTS["siamfcpp_tinyconv"]
    assert package.origin["files"] == {"epoch-19.pkl": hashlib.sha256(checkpoint.read_bytes()).hexdigest()}


def test_an_imported_model_is_listed_and_tracks(imported: tuple[Path, Run], tmp_path: Path) -> None:
    folder, _ = imported
    known = {"LOCKON_MODELS__FOLDERS": json.dumps([str(folder / "packages")])}
    listing = lockon(folder, "models", **known)
    assert "mine" in listing.stdout
    assert "siamfcpp_light" in listing.stdout
    assert '"variant": "siamfcpp_tinyconv"' in lockon(folder, "models", "show", "mine", **known).stdout
    DRAWING.write_sequence(tmp_path / "ant", 4)
    run = lockon(folder, "evaluate", tmp_path / "ant", "--model", "packages/mine", "--boxes", tmp_path / "boxes")
    assert run.returncode == 0, run.stderr
    assert len((tmp_path / "boxes" / "ant.txt").read_text().splitlines()) == 4


def test_weights_of_another_family_are_refused_with_a_report(tmp_path: Path, checkpoint: Path) -> None:
    said = refusal(tmp_path, "models", "import", checkpoint, "--as", "nanotrack_v1")
    assert "epoch-19.pkl is not nanotrack_v1: wrong family" in said
    assert "those of siamfcpp_tinyconv (video_analyst)" in said
    assert "missing:\n  " in said
    assert "... and " in said


def test_a_truncated_file_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    half = tmp_path / "half.pkl"
    half.write_bytes(checkpoint.read_bytes()[: checkpoint.stat().st_size // 2])
    assert "half.pkl: is no checkpoint of torch, or not a whole one" in refusal(tmp_path, "models", "import", half)


class Command:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("touch it-ran",)


def test_a_pickle_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "trap.pth"
    torch.save({"state_dict": tinyconv_state(), "hook": Command()}, path)
    assert f"the file wants to run {os.name}.system" in refusal(tmp_path, "models", "import", path)
    assert not (tmp_path / "it-ran").exists()


def test_a_graph_with_a_wrong_sha256_is_refused(package: Path) -> None:
    graph = package / "search.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    assert "search.onnx: has sha256" in refusal(package.parent, "serve", "--model", package, "--port", "0")


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [("crop", "search_size", 255), ("crop", "template_size", 63)],
    ids=["search size", "template size"],
)
def test_a_spec_that_does_not_fit_the_graphs_is_refused(package: Path, part: str, key: str, value: int) -> None:
    manifest = package / "model.json"
    content = json.loads(manifest.read_text())
    content["spec"][part][key] = value
    manifest.write_text(json.dumps(content))
    DRAWING.write_sequence(package.parent / "ant", 2)
    said = refusal(package.parent, "evaluate", package.parent / "ant", "--model", package)
    assert "the graphs do not take what the spec says" in said


def test_without_the_extra_the_pip_command_is_named(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # As on a machine without torch: the finder says that there is none.
    monkeypatch.setattr("service.commands.failures.find_spec", lambda _name: None)
    run = CliRunner().invoke(app, ["models", "import", str(checkpoint)])
    assert run.exit_code == 1
    assert "pip install 'lockon[train]'" in run.output
