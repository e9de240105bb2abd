"""Backbones begin with other people's weights: classifiers under the names of their code bases, whole trackers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import nn

from models.networks import build
from models.package import WEIGHTS, write_package
from models.spec import SpecInvalid
from models.variants import VARIANTS
from tests.golden.conftest import golden
from training.pretrained import load_backbone

pytestmark = pytest.mark.shared

Arrays = dict[str, np.ndarray[Any, Any]]


def classifier(variant: str, prefix: str) -> Arrays:
    """The backbone's arrays without the tracker's prefix, as a classifier has them, and a last layer of its own."""
    arrays = {
        key.removeprefix(prefix): value for key, value in golden(variant).weights().items() if key.startswith(prefix)
    }
    return arrays | {"fc.weight": np.zeros((1000, 8), np.float32)}


def saved(arrays: Arrays, path: Path) -> Path:
    save_file({key: np.ascontiguousarray(value) for key, value in arrays.items()}, path)
    return path


def backbone(network: nn.Module) -> Arrays:
    return {key: value.numpy().copy() for key, value in network.state_dict().items() if "backbone." in key}


@pytest.mark.parametrize(
    ("variant", "golden_name", "prefix", "before"),
    [
        ("siamfcpp_alexnet", "alexnet_vot", "basemodel.", ""),
        ("siamfcpp_googlenet", "googlenet_vot", "basemodel.", "module."),
        ("siamfcpp_shufflenetv2_x1_0", "shufflenetv2x1_0", "basemodel._model.", ""),
        pytest.param("siamrpnpp_r50", "siamrpnpp_r50_l234", "backbone.", "module.", marks=pytest.mark.slow),
        pytest.param("siamrpnpp_r50_mmtracking", "siamrpnpp_r50_mmtracking", "backbone.", "", marks=pytest.mark.slow),
        ("siamrpnpp_mobilenetv2", "siamrpnpp_mobilenetv2_l234", "backbone.", ""),
        ("siamrpn_alexnet", "siamrpn_alexnet_dw", "backbone.", ""),
        ("siamrpn_upchannel_pysot", "siamrpn_alexnet_dw", "backbone.features.", ""),
    ],
)
def test_a_classifier_fills_the_whole_backbone(
    variant: str, golden_name: str, prefix: str, before: str, tmp_path: Path
) -> None:
    arrays = {before + key: value for key, value in classifier(golden_name, prefix).items()}
    network = build(VARIANTS[variant])
    begun = backbone(network)
    told = load_backbone(network, saved(arrays, tmp_path / "weights.safetensors"))
    assert "noise" not in told, told
    filled = backbone(network)
    assert not any(np.array_equal(begun[key], filled[key]) for key in filled if key.endswith("conv.weight"))


def test_both_backbones_begin_with_the_same_classifier_as_far_as_it_fits(tmp_path: Path) -> None:
    arrays = classifier("siamrpnpp_r50_l234", "backbone.")
    network = build(VARIANTS["siamrpnpp_r50_port"])
    told = load_backbone(network, saved(arrays, tmp_path / "weights.safetensors"))
    # Its own projections are 1x1 in the last two stages, and they have biases.
    assert "have another shape (template_backbone.layer3.0.projection.conv.weight" in told
    state = network.state_dict()
    for key in ("stem.conv.weight", "layer4.2.expand.conv.weight"):
        assert torch.equal(state[f"template_backbone.{key}"], state[f"search_backbone.{key}"])
    np.testing.assert_array_equal(state["template_backbone.stem.conv.weight"], arrays["conv1.weight"])


def test_another_trackers_backbone_fills_ours(tmp_path: Path) -> None:
    arrays = golden("siamrpn_alexnet_upchannel").weights()
    network = build(VARIANTS["siamrpn_tf"])
    assert "noise" not in load_backbone(network, saved(arrays, tmp_path / "dasiamrpn.safetensors"))
    expected = arrays["featureExtract.0.weight"]
    np.testing.assert_array_equal(network.state_dict()["backbone.conv1.conv.weight"], expected)


def test_a_package_gives_its_backbone_to_a_network_with_another_head(tmp_path: Path) -> None:
    arrays = {key: value.numpy() for key, value in build(VARIANTS["siamrpn_upchannel_pysot"]).state_dict().items()}
    weights = saved(arrays, tmp_path / "weights.safetensors")
    package = write_package(
        tmp_path / "package", "mine", VARIANTS["siamrpn_upchannel_pysot"], {WEIGHTS: weights}, {}, {}
    )
    network = build(VARIANTS["siamrpn_alexnet"])
    assert "noise" not in load_backbone(network, package.folder)
    for key, value in backbone(network).items():
        np.testing.assert_array_equal(value, arrays[key])


def test_weights_of_something_else_are_refused(tmp_path: Path) -> None:
    path = saved({"encoder.weight": np.zeros((3, 3), np.float32)}, tmp_path / "other.safetensors")
    with pytest.raises(SpecInvalid, match=r"other\.safetensors: none of its 1 arrays \(encoder\.weight, \.\.\.\) fits"):
        load_backbone(build(VARIANTS["siamfcpp_tinyconv"]), path)
