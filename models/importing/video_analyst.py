"""Checkpoints of video_analyst (SiamFC++): its names of layers -> ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.renaming import renamed, renaming
from models.spec import Architecture, ModelSpec
from models.variants.siamfcpp import VARIANTS as SPECS

VARIANTS: tuple[str, ...] = tuple(SPECS)

_ARCHITECTURES: tuple[tuple[str, tuple[int, ...], str], ...] = (
    ("basemodel.conv1.conv.weight", (96, 3, 11, 11), "siamfcpp_alexnet"),
    ("basemodel.conv1.conv.weight", (32, 3, 3, 3), "siamfcpp_tinyconv"),
    ("basemodel.Conv2d_1a_3x3.conv.weight", (32, 3, 3, 3), "siamfcpp_googlenet"),
    ("basemodel._model.channel_reduce.0.weight", (256, 336, 1, 1), "siamfcpp_shufflenetv2_x0_5"),
    ("basemodel._model.channel_reduce.0.weight", (256, 812, 1, 1), "siamfcpp_shufflenetv2_x1_0"),
)
"""Key, its shape, and the variant that has it."""

_TRACKER_KEYS = ("c_z_k.conv.weight", "r_z_k.conv.weight", "head.si", "head.cls_score_p5.conv.weight")

_NECK_AND_HEAD = renaming(
    (r"c_z_k\.", "neck.template_score."),
    (r"r_z_k\.", "neck.template_box."),
    (r"c_x\.", "neck.search_score."),
    (r"r_x\.", "neck.search_box."),
    (r"head\.si", "head.scale"),
    (r"head\.bi", "head.shift"),
    (r"head\.cls_p5_conv1\.", "head.score_tower.0."),
    (r"head\.cls_p5_conv2\.", "head.score_tower.1."),
    (r"head\.cls_p5_conv3\.", "head.score_tower.2."),
    (r"head\.bbox_p5_conv1\.", "head.box_tower.0."),
    (r"head\.bbox_p5_conv2\.", "head.box_tower.1."),
    (r"head\.bbox_p5_conv3\.", "head.box_tower.2."),
    (r"head\.cls_score_p5\.", "head.score."),
    (r"head\.ctr_score_p5\.", "head.centreness."),
    (r"head\.bbox_offsets_p5\.", "head.box."),
)

_SHUFFLENET = renaming(
    (r"basemodel\._model\.conv1\.0\.", "backbone.stem.conv."),
    (r"basemodel\._model\.conv1\.1\.", "backbone.stem.norm."),
    (r"basemodel\._model\.channel_reduce\.0\.", "backbone.reduce.conv."),
    (r"basemodel\._model\.channel_reduce\.1\.", "backbone.reduce.norm."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch1\.0\.", r"backbone.\1.left.depthwise.conv."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch1\.1\.", r"backbone.\1.left.depthwise.norm."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch1\.2\.", r"backbone.\1.left.project.conv."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch1\.3\.", r"backbone.\1.left.project.norm."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch2\.0\.", r"backbone.\1.right.expand.conv."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch2\.1\.", r"backbone.\1.right.expand.norm."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch2\.3\.", r"backbone.\1.right.depthwise.conv."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch2\.4\.", r"backbone.\1.right.depthwise.norm."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch2\.5\.", r"backbone.\1.right.project.conv."),
    (r"basemodel\._model\.(stage\d\.\d)\.branch2\.6\.", r"backbone.\1.right.project.norm."),
)

_GOOGLENET = renaming(
    (r"basemodel\.channel_reduce\.0\.", "backbone.reduce.conv."),
    (r"basemodel\.channel_reduce\.1\.", "backbone.reduce.norm."),
    (r"basemodel\.Conv2d_1a_3x3\.", "backbone.stem.0."),
    (r"basemodel\.Conv2d_2a_3x3\.", "backbone.stem.1."),
    (r"basemodel\.Conv2d_2b_3x3\.", "backbone.stem.2."),
    (r"basemodel\.Conv2d_3b_1x1\.", "backbone.stem.4."),
    (r"basemodel\.Conv2d_4a_3x3\.", "backbone.stem.5."),
    (r"basemodel\.Mixed_(\w+)\.branch1x1\.", r"backbone.mixed_\1.point.0."),
    (r"basemodel\.Mixed_(\w+)\.branch_pool\.", r"backbone.mixed_\1.pool.1."),
    (r"basemodel\.Mixed_(\w+)\.branch3x3\.", r"backbone.mixed_\1.once.0."),
    *(
        (rf"basemodel\.Mixed_(\w+)\.branch(?:5x5|7x7)_{layer + 1}\.", rf"backbone.mixed_\1.once.{layer}.")
        for layer in range(3)
    ),
    *(
        (rf"basemodel\.Mixed_(\w+)\.branch(?:3x3|7x7)dbl_{layer + 1}\.", rf"backbone.mixed_\1.twice.{layer}.")
        for layer in range(5)
    ),
)

_PLAIN = renaming((r"basemodel\.(conv[1-5][ab]?)\.", r"backbone.\1."))
"""AlexNet and TinyConv."""

_NORM = renaming((r"((?:backbone|neck|head\.(?:score|box|centreness))\S*)\.bn\.", r"\1.norm."))
"""Of the layers that have our names already."""

_BACKBONES = {
    Architecture.SIAMFCPP_ALEXNET: _PLAIN,
    Architecture.SIAMFCPP_GOOGLENET: _GOOGLENET,
    Architecture.SIAMFCPP_SHUFFLENETV2_X0_5: _SHUFFLENET,
    Architecture.SIAMFCPP_SHUFFLENETV2_X1_0: _SHUFFLENET,
    Architecture.SIAMFCPP_TINYCONV: _PLAIN,
}


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose keys and shapes these are, or None.

    Of the variants that share an architecture, the one with the settings for VOT."""
    if any(key not in state for key in _TRACKER_KEYS):
        return None
    for key, shape, variant in _ARCHITECTURES:
        if key in state and tuple(state[key].shape) == shape:
            return variant
    return None


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """The same arrays under our keys; what has no place in SiamFC++ keeps its own key."""
    layers = _BACKBONES[spec.network.architecture] + _NECK_AND_HEAD
    return {renamed(key, layers, _NORM): np.asarray(value) for key, value in state.items()}
