"""An import leaves a whole package, or nothing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from models.geometry import Box
from models.importing import Imported, import_checkpoint
from models.importing.loading import ImportRefused
from models.package import load_tracker, read_package
from models.variants import VARIANTS
from tests.foreign import as_training_writes, tinyconv_state


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("download") / "siamfcpp-tinyconv.pkl"
    torch.save(as_training_writes(tinyconv_state()), path)
    return path


@pytest.fixture(scope="module")
def imported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Imported:
    return import_checkpoint([checkpoint], tmp_path_factory.mktemp("packages"), name="mine")


def test_a_package_holds_spec_weights_graphs_and_where_it_comes_from(imported: Imported, checkpoint: Path) -> None:
    package = read_package(imported.package.folder)
    assert package.name == package.folder.name == "mine"
    assert package.spec == VARIANTS["siamfcpp_tinyconv"]
    assert {"weights.safetensors", "template.onnx", "search.onnx", "MODEL_CARD.md"} <= set(package.files)
    assert package.origin == {
        "kind": "imported",
        "variant": "siamfcpp_tinyconv",
        "code": "video_analyst",
        "repository": "github.com/megvii-research/video_analyst",
        "licence": "code MIT; ask its authors for the weights' terms",
        "files": {checkpoint.name: hashlib.sha256(checkpoint.read_bytes()).hexdigest()},
    }
    assert "siamfcpp_tinyconv" in package.file("MODEL_CARD.md").read_text()


def test_its_graphs_do_what_the_network_does(imported: Imported) -> None:
    assert imported.difference is not None
    assert imported.difference.negligible


def test_its_graphs_tell_nothing_of_the_machine_that_wrote_them(imported: Imported) -> None:
    graphs = [path.read_bytes() for name, path in imported.package.files.items() if name.endswith(".onnx")]
    assert len(graphs) == 2
    assert not any(b'File "/' in graph for graph in graphs)


def test_it_tracks(imported: Imported) -> None:
    tracker = load_tracker(str(imported.package.folder))
    frame = np.random.default_rng(1).integers(0, 256, (240, 320, 3), np.uint8)
    estimate = tracker.follow(tracker.start(frame, Box(100, 80, 60, 50)), frame)
    assert np.isfinite([*estimate.box.xywh(), estimate.score]).all()


def test_an_older_package_stays_unless_it_is_to_be_replaced(imported: Imported, checkpoint: Path) -> None:
    folder = imported.package.folder
    before = (folder / "model.json").stat().st_mtime_ns
    with pytest.raises(ImportRefused, match="mine exists"):
        import_checkpoint([checkpoint], folder.parent, name="mine")
    assert (folder / "model.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", "dummy", "a" * 65, "ä"])
def test_a_name_that_is_no_safe_folder_is_refused(tmp_path: Path, checkpoint: Path, name: str) -> None:
    with pytest.raises(ImportRefused, match="is no name for a model"):
        import_checkpoint([checkpoint], tmp_path, name=name)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_variant_is_refused_with_the_known_ones(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ImportRefused, match=r"there is no variant 'siamrpnpp'; known are .*siamrpnpp_r50"):
        import_checkpoint([checkpoint], tmp_path, variant="siamrpnpp")


def test_a_refused_checkpoint_leaves_no_package(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ImportRefused, match="wrong family"):
        import_checkpoint([checkpoint], tmp_path, variant="siamrpnpp_mobilenetv2")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_number_of_files_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    with pytest.raises(ImportRefused, match="not 2 files"):
        import_checkpoint([checkpoint, checkpoint], tmp_path)
    with pytest.raises(ImportRefused, match=r"two \.onnx files"):
        import_checkpoint([tmp_path / "backbone.onnx"], tmp_path)
    with pytest.raises(ImportRefused, match=r"two \.onnx files"):
        import_checkpoint([tmp_path / "backbone.onnx", checkpoint], tmp_path)
