"""Model packages: written and read back, and every refusal by name."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from models.geometry import Box
from models.package import (
    ModelPackage,
    PackageInvalid,
    available,
    find_package,
    load_tracker,
    read_package,
    write_package,
)
from models.runtimes.dummy import DUMMY_SPEC
from models.runtimes.kinds import Precision, RuntimeKind, RuntimeUnavailable

if TYPE_CHECKING:
    from tests.unit.models.conftest import TinyGraphs

ORIGIN = {"data": ["drawn squares"], "seed": 7}
SCORES = {"auc": 0.5}


@pytest.fixture
def package(tmp_path: Path, tiny_graphs: TinyGraphs) -> ModelPackage:
    card = tmp_path / "card.txt"
    card.write_text("# Tiny\n")
    files: dict[str, Path | bytes] = {"MODEL_CARD.md": card}
    files |= {"template.onnx": tiny_graphs.template, "search.onnx": tiny_graphs.search}
    return write_package(tmp_path / "zoo" / "tiny", "tiny", DUMMY_SPEC, files, ORIGIN, SCORES, version="2")


def edited(package: ModelPackage, **changes: Any) -> Path:
    """The package's folder after its manifest was changed; None removes a key."""
    manifest = package.folder / "model.json"
    data = json.loads(manifest.read_text()) | changes
    manifest.write_text(json.dumps({key: value for key, value in data.items() if value is not None}))
    return package.folder


def test_a_package_reads_as_it_was_written(package: ModelPackage) -> None:
    assert read_package(package.folder) == package
    assert (package.name, package.version, package.spec) == ("tiny", "2", DUMMY_SPEC)
    assert (package.origin, package.scores) == (ORIGIN, SCORES)
    assert package.file("MODEL_CARD.md").read_text() == "# Tiny\n"
    assert sorted(package.files) == ["MODEL_CARD.md", "search.onnx", "template.onnx"]


@pytest.mark.parametrize("name", ["", "..", "../../out", "a/b", "/tmp/x", "a b", "[red]", "x" * 101])
def test_a_name_that_is_no_file_name_is_neither_written_nor_read(
    package: ModelPackage, tmp_path: Path, name: str
) -> None:
    with pytest.raises(PackageInvalid, match="name is"):
        write_package(tmp_path / "other", name, DUMMY_SPEC, {}, {}, {})
    assert not (tmp_path / "other").exists()
    with pytest.raises(PackageInvalid, match=r"model\.json: name is") as refused:
        read_package(edited(package, name=name))
    assert repr(name) in str(refused.value)


def test_nothing_else_is_left_beside_a_written_package(package: ModelPackage) -> None:
    assert [path.name for path in package.folder.parent.iterdir()] == ["tiny"]


def test_a_newer_package_replaces_the_older_one_whole(package: ModelPackage) -> None:
    newer = write_package(package.folder, "tiny", DUMMY_SPEC, {"search.onnx": b"new"}, {}, {})
    assert sorted(path.name for path in newer.folder.iterdir()) == ["model.json", "search.onnx"]
    assert [path.name for path in package.folder.parent.iterdir()] == ["tiny"]


def test_a_folder_that_is_no_package_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear")
    with pytest.raises(PackageInvalid, match=r"holds no model\.json"):
        write_package(tmp_path / "mine", "mine", DUMMY_SPEC, {}, {}, {})
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear"


def test_a_write_that_fails_leaves_the_old_package(package: ModelPackage, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_package(package.folder, "tiny", DUMMY_SPEC, {"search.onnx": tmp_path / "missing"}, {}, {})
    with pytest.raises(ValueError, match="JSON"):
        write_package(package.folder, "tiny", DUMMY_SPEC, {}, {}, {"auc": float("nan")})
    assert read_package(package.folder) == package
    assert [path.name for path in package.folder.parent.iterdir()] == ["tiny"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"format": 2}, "format is 2; this version reads format 1"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"spec": None}, "the key 'spec' is missing"),
        ({"name": 5}, "name is 5; expected a str"),
        ({"files": []}, r"files is \[\]; expected a dict"),
        ({"files": {"template.onnx": 7}}, "files.template.onnx is 7"),
        ({"files": {"template.onnx": {"sha256": "0"}}}, "'bytes' is missing"),
        ({"files": {"gone.onnx": {"sha256": "0", "bytes": 1}}}, r"gone\.onnx: is missing"),
        ({"spec": {"family": "siamfcpp"}}, "spec"),
        ({"spec": DUMMY_SPEC.to_json() | {"speed": 1}}, "unknown key 'speed'"),
    ],
)
def test_a_manifest_that_breaks_a_rule_is_refused(package: ModelPackage, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(PackageInvalid, match=words) as refused:
        read_package(edited(package, **changes))
    assert str(package.folder) in str(refused.value)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "..", ".hidden", "", "model.json", "a\\b", "x\n"])
def test_unsafe_file_names_are_refused_when_read_and_when_written(package: ModelPackage, name: str) -> None:
    with pytest.raises(PackageInvalid, match="no safe file name"):
        write_package(package.folder, "tiny", DUMMY_SPEC, {name: b"x"}, {}, {})
    with pytest.raises(PackageInvalid, match="no safe file name"):
        read_package(edited(package, files={name: {"sha256": "0", "bytes": 1}}))


def test_a_changed_file_is_refused_with_both_sums(package: ModelPackage) -> None:
    graph = package.file("search.onnx")
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)
    with pytest.raises(PackageInvalid, match=r"search\.onnx: has sha256 [0-9a-f]{64}; model\.json says '[0-9a-f]{64}'"):
        read_package(package.folder)
    graph.write_bytes(content[:-1])
    with pytest.raises(PackageInvalid, match=rf"has {len(content) - 1} bytes; model\.json says {len(content)}"):
        read_package(package.folder)


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_a_manifest_that_is_no_object_is_refused(package: ModelPackage, content: bytes) -> None:
    (package.folder / "model.json").write_bytes(content)
    with pytest.raises(PackageInvalid, match=r"model\.json"):
        read_package(package.folder)


def test_packages_are_found_by_name_and_by_path(package: ModelPackage, tmp_path: Path) -> None:
    zoo = package.folder.parent
    assert available([zoo, tmp_path / "no such folder"]) == {"tiny": package.folder}
    assert find_package("tiny", [zoo]) == package
    assert find_package(str(package.folder), []) == package


def test_an_unknown_model_is_refused_with_the_known_names(package: ModelPackage) -> None:
    with pytest.raises(PackageInvalid, match="no model 'huge': known are tiny, dummy"):
        find_package("huge", [package.folder.parent])


def test_a_tracker_is_loaded_from_a_package(package: ModelPackage) -> None:
    tracker = load_tracker("tiny", folders=[package.folder.parent])
    assert (tracker.spec, tracker.runtime.name) == (DUMMY_SPEC, "onnxruntime")
    frame = np.full((90, 120, 3), 60, np.uint8)
    target = tracker.start(frame, Box(40, 30, 20, 20))
    assert tracker.follow(target, frame).box.is_finite()


def test_a_package_with_a_broken_or_without_a_graph_gives_no_tracker(
    package: ModelPackage, tiny_graphs: TinyGraphs
) -> None:
    write_package(package.folder, "tiny", DUMMY_SPEC, {"template.onnx": tiny_graphs.template}, {}, {})
    with pytest.raises(PackageInvalid, match=r"no file 'search\.onnx'"):
        load_tracker(str(package.folder))
    files = {"template.onnx": tiny_graphs.template, "search.onnx": b"broken"}
    write_package(package.folder, "tiny", DUMMY_SPEC, files, {}, {})
    with pytest.raises(PackageInvalid, match=r"search\.onnx"):
        load_tracker(str(package.folder))


def test_serving_needs_no_torch() -> None:
    code = (
        "import sys, models.package, models.runtimes.onnx; models.package.load_tracker('dummy');"
        "sys.exit(bool({'torch', 'safetensors', 'onnx'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_package_without_a_runtimes_files_tells_how_to_make_them(package: ModelPackage) -> None:
    with pytest.raises(
        PackageInvalid, match=rf"has no template\.ts; `lockon export {package.folder} --format torchscript`"
    ):
        load_tracker(str(package.folder), kind=RuntimeKind.TORCHSCRIPT)


def test_the_runtime_can_be_chosen(package: ModelPackage) -> None:
    tracker = load_tracker(str(package.folder), kind=RuntimeKind.OPENVINO)
    assert (tracker.runtime.name, tracker.runtime.precision) == ("openvino", Precision.F32)
    with pytest.raises(RuntimeUnavailable, match="does not run on 'cuda'"):
        load_tracker(str(package.folder), kind=RuntimeKind.OPENVINO, device="cuda")
