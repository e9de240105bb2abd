"""Checkpoints of pysot (SiamRPN, SiamRPN++): its names of layers -> ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.renaming import renamed, renaming
from models.spec import Architecture, ModelSpec
from models.variants.pysot import VARIANTS as SPECS

VARIANTS: tuple[str, ...] = tuple(SPECS)

RESNET50 = renaming(
    (r"backbone\.conv1\.(?=weight)", "backbone.stem.conv."),
    (r"backbone\.bn1\.", "backbone.stem.norm."),
    (r"(backbone\.layer\d\.\d)\.conv1\.", r"\1.reduce.conv."),
    (r"(backbone\.layer\d\.\d)\.bn1\.", r"\1.reduce.norm."),
    (r"(backbone\.layer\d\.\d)\.conv2\.", r"\1.middle.conv."),
    (r"(backbone\.layer\d\.\d)\.bn2\.", r"\1.middle.norm."),
    (r"(backbone\.layer\d\.\d)\.conv3\.", r"\1.expand.conv."),
    (r"(backbone\.layer\d\.\d)\.bn3\.", r"\1.expand.norm."),
    (r"(backbone\.layer\d\.0)\.downsample\.0\.", r"\1.projection.conv."),
    (r"(backbone\.layer\d\.0)\.downsample\.1\.", r"\1.projection.norm."),
)
"""torchvision's names."""

_MOBILENETV2 = renaming(
    (r"backbone\.layer0\.0\.", "backbone.stem.conv."),
    (r"backbone\.layer0\.1\.", "backbone.stem.norm."),
    (r"(backbone\.layer\d\.\d)\.conv\.0\.", r"\1.expand.conv."),
    (r"(backbone\.layer\d\.\d)\.conv\.1\.", r"\1.expand.norm."),
    (r"(backbone\.layer\d\.\d)\.conv\.3\.", r"\1.depthwise.conv."),
    (r"(backbone\.layer\d\.\d)\.conv\.4\.", r"\1.depthwise.norm."),
    (r"(backbone\.layer\d\.\d)\.conv\.6\.", r"\1.project.conv."),
    (r"(backbone\.layer\d\.\d)\.conv\.7\.", r"\1.project.norm."),
)

_ALEXNET = renaming(
    # AlexNetLegacy counts all of its layers in one row; the released weights have these names.
    *((rf"backbone\.features\.{first}\.", f"backbone.conv{i}.conv.") for i, first in enumerate((0, 4, 8, 11, 14), 1)),
    *((rf"backbone\.features\.{first}\.", f"backbone.conv{i}.norm.") for i, first in enumerate((1, 5, 9, 12, 15), 1)),
    # AlexNet: the weights that its users train.
    (r"backbone\.layer([1-5])\.0\.(?=\w+$)", r"backbone.conv\1.conv."),
    (r"backbone\.layer([1-5])\.1\.(?=\w+$)", r"backbone.conv\1.norm."),
)

_BACKBONES = {
    Architecture.SIAMRPN_ALEXNET: _ALEXNET,
    Architecture.SIAMRPNPP_RESNET50: RESNET50,
    Architecture.SIAMRPNPP_MOBILENETV2: _MOBILENETV2,
}

_NECK = renaming(
    *((rf"neck\.downsample{i + 2}\.downsample\.0\.", f"neck.levels.{i}.conv.") for i in range(3)),
    *((rf"neck\.downsample{i + 2}\.downsample\.1\.", f"neck.levels.{i}.norm.") for i in range(3)),
)

_HEAD_LEVELS = renaming(
    (r"rpn_head\.cls_weight$", "head.score_weights"),
    (r"rpn_head\.loc_weight$", "head.box_weights"),
    (r"rpn_head\.cls\.", "head.levels.0.score."),
    (r"rpn_head\.loc\.", "head.levels.0.box."),
    *((rf"rpn_head\.rpn{i + 2}\.cls\.", f"head.levels.{i}.score.") for i in range(3)),
    *((rf"rpn_head\.rpn{i + 2}\.loc\.", f"head.levels.{i}.box.") for i in range(3)),
)

_HEAD_LAYERS = renaming(
    (r"(head\.levels\.\d\.\w+)\.conv_kernel\.0\.", r"\1.kernel.conv."),
    (r"(head\.levels\.\d\.\w+)\.conv_kernel\.1\.", r"\1.kernel.norm."),
    (r"(head\.levels\.\d\.\w+)\.conv_search\.0\.", r"\1.search.conv."),
    (r"(head\.levels\.\d\.\w+)\.conv_search\.1\.", r"\1.search.norm."),
    (r"(head\.levels\.\d\.\w+)\.head\.0\.", r"\1.joint.conv."),
    (r"(head\.levels\.\d\.\w+)\.head\.1\.", r"\1.joint.norm."),
    (r"(head\.levels\.\d\.\w+)\.head\.3\.", r"\1.output."),
)


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose keys and shapes these are, or None."""
    if "rpn_head.cls.conv_kernel.0.weight" in state:
        alexnet = {"backbone.features.0.weight", "backbone.layer5.0.weight"} & state.keys()
        return "siamrpn_alexnet" if alexnet else None
    if "rpn_head.rpn4.cls.conv_kernel.0.weight" not in state:
        return None
    if "backbone.layer7.0.conv.0.weight" in state:
        return "siamrpnpp_mobilenetv2"
    if "backbone.layer4.0.conv1.weight" not in state:
        return None
    if "rpn_head.cls_weight" not in state:
        return "siamrpnpp_r50_otb"
    widest = state["rpn_head.rpn4.cls.conv_kernel.0.weight"].shape[0]
    return (
        "siamrpnpp_r50_longterm" if widest == SPECS["siamrpnpp_r50_longterm"].network.channels[-1] else "siamrpnpp_r50"
    )


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """The same arrays under our keys; what has no place in the network keeps its own key."""
    backbone = _BACKBONES[spec.network.architecture]
    return {
        renamed(key, backbone, _NECK, _HEAD_LEVELS, _HEAD_LAYERS): np.asarray(value) for key, value in state.items()
    }
