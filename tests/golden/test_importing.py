"""Every state dict of the golden vectors is recognised from a file, fits, and makes a tracker that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.geometry import Box
from models.importing.loading import load_network
from models.runtimes.torch import TorchRuntime
from models.tracker import Tracker
from models.variants import VARIANTS
from tests.foreign import as_training_writes
from tests.golden.conftest import frame, golden
from tests.nanotrack import checkpoint

pytestmark = pytest.mark.shared

FOLDERS = {
    "alexnet_got10k": "siamfcpp_alexnet_got10k",
    "alexnet_multi_temp": "siamfcpp_alexnet_multi_template",
    "alexnet_vot": "siamfcpp_alexnet",
    "googlenet_got10k": "siamfcpp_googlenet_got10k",
    "googlenet_longterm": "siamfcpp_googlenet_longterm",
    "googlenet_multi_temp": "siamfcpp_googlenet_multi_template",
    "googlenet_vot": "siamfcpp_googlenet",
    "googlenet_x399": "siamfcpp_googlenet_x399",
    "nanotrack_v1": "nanotrack_v1",
    "nanotrack_v2": "nanotrack_v2",
    "nanotrack_v3": "nanotrack_v3",
    "shufflenetv2x0_5": "siamfcpp_shufflenetv2_x0_5",
    "shufflenetv2x1_0": "siamfcpp_shufflenetv2_x1_0",
    "siamrpn_alexnet_dw": "siamrpn_alexnet",
    "siamrpn_alexnet_upchannel": "dasiamrpn_vot",
    "siamrpnpp_mobilenetv2_l234": "siamrpnpp_mobilenetv2",
    "siamrpnpp_r50_l234": "siamrpnpp_r50",
    "siamrpnpp_r50_longterm": "siamrpnpp_r50_longterm",
    "siamrpnpp_r50_mmtracking": "siamrpnpp_r50_mmtracking",
    "siamrpnpp_r50_port": "siamrpnpp_r50_port",
    "tinyconv": "siamfcpp_tinyconv",
}
OTHER_NAMES = {
    "huanglianghua": "siamrpn_huanglianghua",
    "pysot_upchannel": "siamrpn_upchannel_pysot",
    "dasiamrpn_big": "dasiamrpn_big",
}


def write(path: Path, state: dict[str, NDArray[Any]]) -> Path:
    torch.save(as_training_writes({name: torch.from_numpy(np.asarray(array)) for name, array in state.items()}), path)
    return path


def assert_found_and_running(path: Path, expected: str) -> None:
    loaded = load_network(path)
    assert expected in (loaded.variant, *loaded.siblings)
    spec = VARIANTS[loaded.variant]
    tracker = Tracker(spec, TorchRuntime.of(loaded.network, spec))
    first = frame(1)
    height, width = first.shape[:2]
    target = tracker.start(first, Box(width / 3, height / 3, width / 6, height / 6))
    estimate = tracker.follow(target, frame(2))
    assert np.isfinite([*estimate.box.xywh(), estimate.score]).all()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_checkpoint_of_every_variant_is_recognised_and_runs(tmp_path: Path, folder: str) -> None:
    assert_found_and_running(write(tmp_path / "weights.pth", golden(folder).weights()), FOLDERS[folder])


@pytest.mark.parametrize("names", OTHER_NAMES)
def test_the_same_network_under_other_names_is_recognised_and_runs(tmp_path: Path, names: str) -> None:
    variant = golden("siamrpn_alexnet_upchannel")
    other = json.loads((variant.folder / "spec_other_keys.json").read_text())[names]
    assert_found_and_running(write(tmp_path / "weights.pth", variant.weights(other)), OTHER_NAMES[names])


def test_variables_of_tensorflow_are_recognised_and_run(tmp_path: Path) -> None:
    shapes: dict[str, list[int]] = dict(golden("siamrpn_tf").spec["tf_variables"])
    generator = np.random.default_rng(0)
    # Positive, as variances have to be; small, so that nothing overflows.
    variables: dict[str, Any] = {
        name: generator.uniform(0.001, 0.01, shape).astype(np.float32) for name, shape in shapes.items()
    }
    np.savez(tmp_path / "variables.npz", **variables, global_step=np.array(5))
    assert_found_and_running(tmp_path / "variables.npz", "siamrpn_tf")


@pytest.mark.parametrize("name", ["nanotrack_v1", "nanotrack_v2", "nanotrack_v3"])
def test_the_published_files_of_nanotrack_are_recognised_and_run(name: str) -> None:
    assert_found_and_running(checkpoint(name), name)
