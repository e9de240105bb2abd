"""pysot's keys: both of its names for AlexNet's layers, every variant, what is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.importing.pysot import VARIANTS, convert, recognises
from models.networks.build import build
from models.variants.pysot import VARIANTS as SPECS


def own_keys(name: str) -> set[str]:
    with torch.device("meta"):
        return set(build(SPECS[name]).state_dict())


def shaped(*shape: int) -> NDArray[Any]:
    return np.broadcast_to(np.float32(0), shape)


@pytest.mark.parametrize("prefix", ["backbone.features.12.", "backbone.layer4.1."])
def test_both_names_of_a_layer_of_alexnet_are_understood(prefix: str) -> None:
    converted = convert({prefix + "running_mean": shaped(384)}, SPECS["siamrpn_alexnet"])
    assert list(converted) == ["backbone.conv4.norm.running_mean"]
    assert converted.keys() <= own_keys("siamrpn_alexnet")


def test_what_is_not_known_keeps_its_key() -> None:
    state = {"mask_head.conv.weight": shaped(1), "backbone.layer1.1.conv1.weight": shaped(1)}
    assert convert(state, SPECS["siamrpn_alexnet"]).keys() == state.keys()


@pytest.mark.parametrize(
    ("backbone", "head", "expected"),
    [
        ("backbone.features.0.weight", {"rpn_head.cls.conv_kernel.0.weight": 256}, "siamrpn_alexnet"),
        ("backbone.layer5.0.weight", {"rpn_head.cls.conv_kernel.0.weight": 256}, "siamrpn_alexnet"),
        ("backbone.layer4.0.conv1.weight", {"rpn_head.cls.conv_kernel.0.weight": 256}, None),
        ("backbone.layer7.0.conv.0.weight", {"rpn_head.rpn4.cls.conv_kernel.0.weight": 256}, "siamrpnpp_mobilenetv2"),
        ("backbone.layer4.0.conv1.weight", {"rpn_head.rpn4.cls.conv_kernel.0.weight": 256}, "siamrpnpp_r50_otb"),
        (
            "backbone.layer4.0.conv1.weight",
            {"rpn_head.rpn4.cls.conv_kernel.0.weight": 256, "rpn_head.cls_weight": 3},
            "siamrpnpp_r50",
        ),
        (
            "backbone.layer4.0.conv1.weight",
            {"rpn_head.rpn4.cls.conv_kernel.0.weight": 512, "rpn_head.cls_weight": 3},
            "siamrpnpp_r50_longterm",
        ),
        ("backbone.layer4.0.conv1.weight", {}, None),
    ],
)
def test_keys_and_shapes_tell_the_variant(backbone: str, head: dict[str, int], expected: str | None) -> None:
    state = {backbone: shaped(1)} | {key: shaped(length) for key, length in head.items()}
    assert recognises(state) == expected


def test_every_variant_can_be_told() -> None:
    assert set(VARIANTS) == set(SPECS)
