"""Checkpoints of SiamRPN_plus_plus_PyTorch: its names of layers -> ours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.pysot import RESNET50
from models.importing.renaming import renamed, renaming
from models.spec import ModelSpec
from models.variants.siamrpnpp_pytorch import VARIANTS as SPECS

VARIANTS: tuple[str, ...] = tuple(SPECS)

_UNUSED = re.compile(r"(examplar|search_region)_branch\.fc\.")
"""torchvision's classifier: computed there in every pass, and thrown away."""

_BRANCHES = {"examplar_branch.": "template_backbone.", "search_region_branch.": "search_backbone."}

_REDUCE = renaming(*((rf"backbone\.extra_1x1_conv{level + 3}\.", f"backbone.reduce.{level}.") for level in range(3)))

_LEVELS = (r"conv3_3_RPN", r"conv4_6_RPN", r"conv5_3_RPN")
_LAYERS = {
    r"adj_1\.0": "box.{}.kernel.conv", r"adj_1\.1": "box.{}.kernel.norm",
    r"adj_2\.0": "box.{}.search.conv", r"adj_2\.1": "box.{}.search.norm",
    r"adj_3\.0": "score.{}.kernel.conv", r"adj_3\.1": "score.{}.kernel.norm",
    r"adj_4\.0": "score.{}.search.conv", r"adj_4\.1": "score.{}.search.norm",
    r"fusion_module_1\.0": "box.{}.joint.conv", r"fusion_module_1\.1": "box.{}.joint.norm",
    r"fusion_module_2\.0": "score.{}.joint.conv", r"fusion_module_2\.1": "score.{}.joint.norm",
    r"Box_Head\.0": "box.{}.output", r"Cls_Head\.0": "score.{}.output",
}  # fmt: skip

_HEAD = renaming(
    (r"weighted_sum_layer_alpha\.", "score.fusion."),
    (r"weighted_sum_layer_beta\.", "box.fusion."),
    *(
        (rf"{level}\.{layer}\.", ours.format(f"levels.{number}") + ".")
        for number, level in enumerate(_LEVELS)
        for layer, ours in _LAYERS.items()
    ),
)


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose keys these are, or None."""
    needed = {"examplar_branch.conv1.weight", "search_region_branch.conv1.weight", "weighted_sum_layer_alpha.weight"}
    return VARIANTS[0] if needed <= state.keys() else None


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """The same arrays under our keys, without the unused ones; what has no place in the network keeps its own key."""
    return {_ours(key): np.asarray(value) for key, value in state.items() if not _UNUSED.match(key)}


def _ours(key: str) -> str:
    for theirs, ours in _BRANCHES.items():
        if key.startswith(theirs):
            layer = key.replace(theirs, "backbone.", 1)
            known = renamed(layer, RESNET50, _REDUCE)
            return key if known == layer else known.replace("backbone.", ours, 1)
    return renamed(key, _HEAD)
