"""Three names of SiamRPN of 2018, and TensorFlow's."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.importing import dasiamrpn, pysot_upchannel, siamrpn_pytorch, siamrpn_tf
from models.variants import VARIANTS

ORIGINS = (dasiamrpn, pysot_upchannel, siamrpn_pytorch, siamrpn_tf)


def shaped(*shape: int) -> NDArray[Any]:
    return np.broadcast_to(np.float32(0), shape)


@pytest.mark.parametrize(
    ("origin", "theirs", "ours"),
    [
        (dasiamrpn, "featureExtract.0.weight", "backbone.conv1.conv.weight"),
        (dasiamrpn, "featureExtract.15.running_var", "backbone.conv5.norm.running_var"),
        (dasiamrpn, "conv_cls1.weight", "head.score_kernel.weight"),
        (dasiamrpn, "conv_r2.bias", "head.box_search.bias"),
        (dasiamrpn, "regress_adjust.bias", "head.box_adjust.bias"),
        (siamrpn_pytorch, "feature.12.weight", "backbone.conv4.norm.weight"),
        (siamrpn_pytorch, "conv_cls_x.bias", "head.score_search.bias"),
        (siamrpn_pytorch, "conv_reg_z.weight", "head.box_kernel.weight"),
        (pysot_upchannel, "backbone.features.8.bias", "backbone.conv3.conv.bias"),
        (pysot_upchannel, "rpn_head.template_loc_conv.bias", "head.box_kernel.bias"),
        (pysot_upchannel, "rpn_head.loc_adjust.weight", "head.box_adjust.weight"),
        (dasiamrpn, "temple.weight", "temple.weight"),
        (siamrpn_pytorch, "featureExtract.1.weight", "featureExtract.1.weight"),
    ],
)
def test_layers_get_our_names_and_unknown_ones_keep_theirs(origin: ModuleType, theirs: str, ours: str) -> None:
    assert list(origin.convert({theirs: shaped(4, 3, 1, 1)}, VARIANTS[origin.VARIANTS[0]])) == [ours]


def test_a_network_for_rgb_becomes_one_for_bgr() -> None:
    weight = np.arange(12, dtype=np.float32).reshape(2, 3, 2, 1)
    state = siamrpn_pytorch.convert({"feature.0.weight": weight}, VARIANTS["siamrpn_huanglianghua"])
    np.testing.assert_array_equal(state["backbone.conv1.conv.weight"], weight[:, [2, 1, 0]])


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ({"featureExtract.14.weight": 256, "conv_cls1.weight": 2560}, "dasiamrpn_vot"),
        ({"featureExtract.14.weight": 512, "conv_cls1.weight": 5120}, "dasiamrpn_big"),
        ({"featureExtract.14.weight": 300, "conv_cls1.weight": 3000}, None),
        ({"featureExtract.14.weight": 256}, None),
        ({"feature.14.weight": 512, "conv_cls_z.weight": 5120}, "siamrpn_huanglianghua"),
        ({"backbone.features.14.weight": 256, "rpn_head.template_cls_conv.weight": 2560}, "siamrpn_upchannel_pysot"),
        (
            {
                "featureExtract_alexnet/conv1/weights:0": 11,
                "cls/conv_cls1/weights:0": 3,
                "regssion/regress_adjust/weights:0": 1,
            },
            "siamrpn_tf",
        ),
    ],
)
def test_keys_and_shapes_tell_the_variant(state: dict[str, int], expected: str | None) -> None:
    arrays = {key: shaped(length) for key, length in state.items()}
    told = [origin.recognises(arrays) for origin in ORIGINS]
    assert [variant for variant in told if variant is not None] == ([] if expected is None else [expected])


def test_tensorflows_channels_get_our_order() -> None:
    spec = VARIANTS["siamrpn_tf"]
    score = siamrpn_tf.convert({"cls/conv_cls1/biases": np.arange(2 * 10)}, spec)["head.score_kernel.bias"]
    # Two channels c; ours counts class, anchor, channel, and its class 1 is TensorFlow's class 0.
    assert score[:4].tolist() == [1, 11, 3, 13]
    assert score[10:14].tolist() == [0, 10, 2, 12]
    box = siamrpn_tf.convert({"regssion/conv_r1/biases": np.arange(20)}, spec)["head.box_kernel.bias"]
    assert box[:6].tolist() == [0, 4, 8, 12, 16, 1]


def test_what_tensorflows_optimiser_leaves_is_dropped() -> None:
    names = ("cls/conv_cls2/biases:0", "cls/conv_cls2/biases/Momentum", "global_step", "other/thing")
    converted = siamrpn_tf.convert({name: shaped(2) for name in names}, VARIANTS["siamrpn_tf"])
    assert converted.keys() == {"head.score_search.bias", "other/thing"}
