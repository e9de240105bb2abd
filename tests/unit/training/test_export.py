"""Packages are written again with other graphs, and graphs that differ from their network are refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from models.geometry import Box
from models.package import DEFAULT_MODEL, PackageInvalid, find_package, load_tracker, read_package, write_package
from models.runtimes.comparing import Difference
from models.runtimes.kinds import GraphFormat, RuntimeKind
from models.variants import VARIANTS
from service.cli import app
from training import export as exporting
from training.crops import MAX_TARGETS, examples_from_frames
from training.export import ExportFailed, export_package

BOTH = (GraphFormat.TORCHSCRIPT, GraphFormat.TORCHSCRIPT_F16)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(MAX_TARGETS + 2):
        noise = rng.integers(0, 256, (240, 320, 3), np.uint8)
        assert cv2.imwrite(str(folder / f"{number}.png"), cv2.GaussianBlur(noise, (0, 0), 4))
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(scope="module")
def exported(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> exporting.Exported:
    """The default model with TorchScript as well, checked on pictures."""
    out = tmp_path_factory.mktemp("packages") / "mine"
    return export_package(find_package(DEFAULT_MODEL), out, formats=BOTH, frames=pictures)


def test_a_package_gains_graphs_and_keeps_the_rest(exported: exporting.Exported) -> None:
    source, package = find_package(DEFAULT_MODEL), exported.package
    added = {"template.ts", "search.ts", "template.f16.ts", "search.f16.ts"}
    assert package.files.keys() == source.files.keys() | added
    assert (package.name, package.spec, package.origin, package.scores) == (
        source.name, source.spec, source.origin, source.scores,
    )  # fmt: skip
    assert exported.differences[GraphFormat.TORCHSCRIPT].negligible
    assert 1e-3 < exported.differences[GraphFormat.TORCHSCRIPT_F16].box_px < 5


def test_an_exported_package_follows_alike_in_every_runtime(exported: exporting.Exported, pictures: Path) -> None:
    frame = np.asarray(cv2.imread(str(pictures / "0.png")), np.uint8)
    boxes = []
    for kind in RuntimeKind:
        tracker = load_tracker(str(exported.package.folder), kind=kind)
        boxes.append(tracker.follow(tracker.start(frame, Box(100, 80, 60, 50)), frame).box.xywh())
    np.testing.assert_allclose(boxes, boxes[:1] * len(boxes), atol=1e-3)


def test_a_package_may_be_written_in_its_own_place(exported: exporting.Exported) -> None:
    folder = exported.package.folder
    again = export_package(read_package(folder), folder, formats=[GraphFormat.TORCHSCRIPT])
    assert again.package.files.keys() == exported.package.files.keys()


def test_graphs_that_differ_from_their_network_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "largest_difference", lambda *arguments: Difference(float("nan"), 0.0, 0))
    told = r"torchscript graphs and torch differ by nan px and 0 of the score; the limits are 0\.01 px"
    with pytest.raises(ExportFailed, match=told):
        export_package(find_package(DEFAULT_MODEL), tmp_path / "mine", formats=[GraphFormat.TORCHSCRIPT])
    assert not (tmp_path / "mine").exists()


def test_a_package_without_weights_or_with_other_ones_is_refused(tmp_path: Path) -> None:
    source = find_package(DEFAULT_MODEL)
    bare = write_package(tmp_path / "bare", "bare", source.spec, {}, {}, {})
    with pytest.raises(ExportFailed, match=r"has no weights\.safetensors"):
        export_package(bare, bare.folder, formats=BOTH)
    weights = {"weights.safetensors": source.file("weights.safetensors")}
    other = write_package(tmp_path / "other", "other", VARIANTS["siamfcpp_tinyconv"], weights, {}, {})
    with pytest.raises(PackageInvalid, match=r"weights\.safetensors: does not fit the spec"):
        export_package(other, other.folder, formats=BOTH)


@pytest.mark.parametrize("name", ["siamfcpp_tinyconv", "siamrpnpp_r50_longterm", "siamrpnpp_r50_mmtracking"])
def test_crops_are_cut_for_every_search_size_and_kind_of_number(name: str, pictures: Path) -> None:
    spec = VARIANTS[name]
    examples = examples_from_frames(spec, pictures)
    assert tuple(examples) == spec.search_sizes
    for size, (one, several) in examples.items():
        assert one.search.shape == (1, size, size, 3)
        assert several.search.shape == (MAX_TARGETS, size, size, 3)
        assert several.search.dtype.is_floating_point == name.endswith("mmtracking")
        assert (several.size > 0).all()


def test_a_folder_without_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no picture there can be read"):
        examples_from_frames(VARIANTS["siamfcpp_tinyconv"], tmp_path)


def test_the_command_adds_graphs_to_a_package(tmp_path: Path, pictures: Path) -> None:
    out = tmp_path / "mine"
    arguments = ["export", DEFAULT_MODEL, "--out", str(out), "--format", "torchscript", "--frames", str(pictures)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "torchscript graphs differ from the network by at most" in result.stdout
    assert "search.ts" in read_package(out).files
