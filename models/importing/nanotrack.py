"""Checkpoints of NanoTrack (HonglinChu/SiamTrackers): its names of layers -> ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.renaming import renamed, renaming
from models.spec import Architecture, ModelSpec
from models.variants.nanotrack import VARIANTS as SPECS

VARIANTS: tuple[str, ...] = tuple(SPECS)

_MARKS: Mapping[str, str] = MappingProxyType({
    "ban_head.corr_pw.CA_layer.fc1.weight": "nanotrack_v1",
    "ban_head.cls_pw_tower.0.weight": "nanotrack_v2",
    "ban_head.corr_dw_cls.conv_kernel.0.weight": "nanotrack_v3",
})  # fmt: skip
"""A key, and the variant that alone has it."""

_UNUSED = "neck.downsample."
"""A layer that the published files hold and the published trackers never call."""

_BACKBONE = renaming(
    (r"backbone\.features\.0\.0\.", "backbone.stem.conv."),
    (r"backbone\.features\.0\.1\.", "backbone.stem.norm."),
    # The first block does not expand, so its layers have other numbers.
    (r"backbone\.features\.1\.conv\.0\.", "backbone.blocks.1.depthwise.conv."),
    (r"backbone\.features\.1\.conv\.1\.", "backbone.blocks.1.depthwise.norm."),
    (r"backbone\.features\.1\.conv\.3\.fc\.0\.", "backbone.blocks.1.gate.reduce."),
    (r"backbone\.features\.1\.conv\.3\.fc\.2\.", "backbone.blocks.1.gate.restore."),
    (r"backbone\.features\.1\.conv\.4\.", "backbone.blocks.1.project.conv."),
    (r"backbone\.features\.1\.conv\.5\.", "backbone.blocks.1.project.norm."),
    (r"backbone\.features\.(\d)\.conv\.0\.", r"backbone.blocks.\1.expand.conv."),
    (r"backbone\.features\.(\d)\.conv\.1\.", r"backbone.blocks.\1.expand.norm."),
    (r"backbone\.features\.(\d)\.conv\.3\.", r"backbone.blocks.\1.depthwise.conv."),
    (r"backbone\.features\.(\d)\.conv\.4\.", r"backbone.blocks.\1.depthwise.norm."),
    (r"backbone\.features\.(\d)\.conv\.5\.fc\.0\.", r"backbone.blocks.\1.gate.reduce."),
    (r"backbone\.features\.(\d)\.conv\.5\.fc\.2\.", r"backbone.blocks.\1.gate.restore."),
    (r"backbone\.features\.(\d)\.conv\.7\.", r"backbone.blocks.\1.project.conv."),
    (r"backbone\.features\.(\d)\.conv\.8\.", r"backbone.blocks.\1.project.norm."),
)

_COMPARISONS = renaming(
    (r"ban_head\.corr_pw\.", "head."),
    (r"ban_head\.corr_pw_cls\.conv\.", "head.score.reduction."),
    (r"ban_head\.corr_pw_reg\.conv\.", "head.box.reduction."),
    (r"ban_head\.corr_pw_cls\.", "head.score.pixels."),
    (r"ban_head\.corr_pw_reg\.", "head.box.pixels."),
    (r"ban_head\.corr_dw_cls\.", "head.score.depth."),
    (r"ban_head\.corr_dw_reg\.", "head.box.depth."),
    (r"ban_head\.down_cls\.0\.", "head.score.join."),
    (r"ban_head\.down_reg\.0\.", "head.box.join."),
)
_LAYERS = renaming(
    (r"(head\..*)CA_layer\.fc1\.", r"\1attention.first."),
    (r"(head\..*)CA_layer\.fc2\.", r"\1attention.second."),
    (r"(head\..*)conv_kernel\.0\.", r"\1kernel.conv."),
    (r"(head\..*)conv_kernel\.1\.", r"\1kernel.norm."),
    (r"(head\..*)conv_search\.0\.", r"\1search.conv."),
    (r"(head\..*)conv_search\.1\.", r"\1search.norm."),
    (r"(head\..*reduction)\.0\.", r"\1.depthwise.conv."),
    (r"(head\..*reduction)\.1\.", r"\1.depthwise.norm."),
    (r"(head\..*reduction)\.3\.", r"\1.pointwise.conv."),
    (r"(head\..*reduction)\.4\.", r"\1.pointwise.norm."),
)

# The published towers count all of their layers in one row, activations included.
_SEPARABLE = ("depthwise.", "pointwise.conv.", "pointwise.norm.", None)
_LINEAR_SEPARABLE = ("depthwise.conv.", "depthwise.norm.", None, "pointwise.conv.", "pointwise.norm.")


def _tower(theirs: str, ours: str, parts: tuple[str | None, ...], layers: int) -> Iterator[tuple[str, str]]:
    for layer in range(layers):
        for place, part in enumerate(parts):
            if part is not None:
                yield rf"ban_head\.{theirs}\.{len(parts) * layer + place}\.", f"head.{ours}.{layer}.{part}"


_OUTPUTS = {
    Architecture.NANOTRACK_V1: renaming(
        *_tower("cls_tower", "score.tower", _SEPARABLE, 3),
        *_tower("bbox_tower", "box.tower", _SEPARABLE, 4),
        (r"ban_head\.cls_logits\.0\.", "head.score.prediction."),
        (r"ban_head\.bbox_pred\.0\.", "head.box.prediction."),
    ),
    Architecture.NANOTRACK_V2: renaming(
        *_tower("cls_pw_tower", "score.output.tower", _SEPARABLE, 6),
        *_tower("bbox_pw_tower", "box.output.tower", _SEPARABLE, 6),
        (r"ban_head\.cls_pred\.0\.", "head.score.output.prediction."),
        (r"ban_head\.bbox_pred\.0\.", "head.box.output.prediction."),
    ),
    Architecture.NANOTRACK_V3: renaming(
        *_tower("cls_tower", "score.output.tower", _LINEAR_SEPARABLE, 6),
        *_tower("bbox_tower", "box.output.tower", _LINEAR_SEPARABLE, 6),
        (r"ban_head\.cls_logits\.0\.", "head.score.output.prediction."),
        (r"ban_head\.bbox_pred\.0\.", "head.box.output.prediction."),
    ),
}


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose keys these are, or None."""
    return next((variant for key, variant in _MARKS.items() if key in state), None)


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """The same arrays under our keys, without the unused layer; what has no place in the network keeps its own key."""
    outputs = _OUTPUTS[spec.network.architecture]
    return {
        renamed(key, _BACKBONE, _COMPARISONS, _LAYERS, outputs): np.asarray(value)
        for key, value in state.items()
        if not key.startswith(_UNUSED)
    }
