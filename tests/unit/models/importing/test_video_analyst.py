"""video_analyst's keys: samples of every kind of layer, every architecture, what is not known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.importing.video_analyst import VARIANTS, convert, recognises
from models.networks.build import build
from models.variants.siamfcpp import VARIANTS as SPECS

COMMON = ("c_z_k.conv.weight", "r_z_k.conv.weight", "head.si", "head.cls_score_p5.conv.weight")


def shaped(*shape: int) -> NDArray[Any]:
    return np.broadcast_to(np.float32(0), shape)


@pytest.mark.parametrize(
    ("name", "key", "expected"),
    [
        ("siamfcpp_alexnet", "basemodel.conv5.bn.weight", "backbone.conv5.norm.weight"),
        ("siamfcpp_alexnet", "head.bbox_p5_conv3.bn.bias", "head.box_tower.2.norm.bias"),
        ("siamfcpp_alexnet", "head.ctr_score_p5.bn.running_var", "head.centreness.norm.running_var"),
        ("siamfcpp_alexnet", "r_x.bn.weight", "neck.search_box.norm.weight"),
        ("siamfcpp_tinyconv", "basemodel.conv2b.conv.weight", "backbone.conv2b.conv.weight"),
        ("siamfcpp_googlenet", "basemodel.Conv2d_4a_3x3.bn.bias", "backbone.stem.5.norm.bias"),
        ("siamfcpp_googlenet", "basemodel.Mixed_5b.branch5x5_2.conv.weight", "backbone.mixed_5b.once.1.conv.weight"),
        ("siamfcpp_googlenet", "basemodel.Mixed_6a.branch3x3.conv.weight", "backbone.mixed_6a.once.0.conv.weight"),
        ("siamfcpp_googlenet", "basemodel.Mixed_6e.branch7x7dbl_5.bn.bias", "backbone.mixed_6e.twice.4.norm.bias"),
        ("siamfcpp_googlenet", "basemodel.Mixed_6b.branch_pool.conv.weight", "backbone.mixed_6b.pool.1.conv.weight"),
        (
            "siamfcpp_shufflenetv2_x0_5",
            "basemodel._model.stage3.0.branch1.1.bias",
            "backbone.stage3.0.left.depthwise.norm.bias",
        ),
        (
            "siamfcpp_shufflenetv2_x1_0",
            "basemodel._model.stage4.3.branch2.5.weight",
            "backbone.stage4.3.right.project.conv.weight",
        ),
    ],
)
def test_keys_by_hand(name: str, key: str, expected: str) -> None:
    with torch.device("meta"):
        own = build(SPECS[name]).state_dict()
    assert list(convert({key: shaped(1)}, SPECS[name])) == [expected]
    assert expected in own


@pytest.mark.parametrize("key", ["basemodel.fc.bn.weight", "head.seg_p5.bn.bias", "online.filter.weight"])
def test_what_is_not_known_keeps_its_key(key: str) -> None:
    for spec in SPECS.values():
        assert list(convert({key: shaped(1)}, spec)) == [key]


@pytest.mark.parametrize(
    ("key", "shape", "expected"),
    [
        ("basemodel.conv1.conv.weight", (96, 3, 11, 11), "siamfcpp_alexnet"),
        ("basemodel.conv1.conv.weight", (32, 3, 3, 3), "siamfcpp_tinyconv"),
        ("basemodel.conv1.conv.weight", (16, 3, 3, 3), None),
        ("basemodel.Conv2d_1a_3x3.conv.weight", (32, 3, 3, 3), "siamfcpp_googlenet"),
        ("basemodel._model.channel_reduce.0.weight", (256, 336, 1, 1), "siamfcpp_shufflenetv2_x0_5"),
        ("basemodel._model.channel_reduce.0.weight", (256, 812, 1, 1), "siamfcpp_shufflenetv2_x1_0"),
    ],
)
def test_keys_and_shapes_tell_the_architecture(key: str, shape: tuple[int, ...], expected: str | None) -> None:
    state = {key: shaped(*shape)} | {each: shaped(1) for each in COMMON}
    assert recognises(state) == expected
    assert expected is None or expected in VARIANTS


def test_a_backbone_alone_is_no_tracker() -> None:
    assert recognises({"basemodel.conv1.conv.weight": shaped(96, 3, 11, 11)}) is None
