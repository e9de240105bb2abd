"""Checkpoints of mmtracking (SiamRPN++): its names of layers -> ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.pysot import RESNET50
from models.importing.renaming import renamed, renaming
from models.spec import ModelSpec
from models.variants.mmtracking import VARIANTS as SPECS

VARIANTS: tuple[str, ...] = tuple(SPECS)

_NECK_AND_LEVELS = renaming(
    (r"neck\.convs\.(\d)\.conv\.", r"neck.levels.\1.conv."),
    (r"neck\.convs\.(\d)\.bn\.", r"neck.levels.\1.norm."),
    (r"head\.cls_weight$", "head.score_weights"),
    (r"head\.reg_weight$", "head.box_weights"),
    (r"head\.cls_heads\.(\d)\.", r"head.levels.\1.score."),
    (r"head\.reg_heads\.(\d)\.", r"head.levels.\1.box."),
)

_HEAD_LAYERS = renaming(
    (r"(head\.levels\.\d\.\w+)\.kernel_convs\.conv\.", r"\1.kernel.conv."),
    (r"(head\.levels\.\d\.\w+)\.kernel_convs\.bn\.", r"\1.kernel.norm."),
    (r"(head\.levels\.\d\.\w+)\.search_convs\.conv\.", r"\1.search.conv."),
    (r"(head\.levels\.\d\.\w+)\.search_convs\.bn\.", r"\1.search.norm."),
    (r"(head\.levels\.\d\.\w+)\.head_convs\.0\.conv\.", r"\1.joint.conv."),
    (r"(head\.levels\.\d\.\w+)\.head_convs\.0\.bn\.", r"\1.joint.norm."),
    (r"(head\.levels\.\d\.\w+)\.head_convs\.1\.conv\.", r"\1.output."),
)


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose keys these are, or None. Of those that differ in their loops only, the first."""
    needed = {"backbone.layer4.0.conv1.weight", "neck.convs.0.conv.weight", "head.cls_heads.0.kernel_convs.conv.weight"}
    return VARIANTS[0] if needed <= state.keys() else None


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """The same arrays under our keys; what has no place in the network keeps its own key."""
    return {renamed(key, RESNET50, _NECK_AND_LEVELS, _HEAD_LAYERS): np.asarray(value) for key, value in state.items()}
