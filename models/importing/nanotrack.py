"""Checkpoints of NanoTrack (HonglinChu/SiamTrackers): its names of layers -> ours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.networks.backbones.mobilenetv3 import BLOCKS
from models.spec import Architecture, ModelSpec
from models.variants.nanotrack import VARIANTS as SPECS

VARIANTS: tuple[str, ...] = tuple(SPECS)

_MARKS: Mapping[str, str] = MappingProxyType({
    "ban_head.corr_pw.CA_layer.fc1.weight": "nanotrack_v1",
    "ban_head.corr_dw_cls.conv_kernel.0.weight": "nanotrack_v3",
    "ban_head.cls_pw_tower.0.weight": "nanotrack_v2",
})  # fmt: skip
"""A key, and the variant that alone has it."""

_UNUSED = "neck.downsample."
"""A layer that the published files hold and the published trackers never call."""

_EXPANDED = {
    "0": "expand.conv",
    "1": "expand.norm",
    "3": "depthwise.conv",
    "4": "depthwise.norm",
    "5.fc.0": "gate.reduce",
    "5.fc.2": "gate.restore",
    "7": "project.conv",
    "8": "project.norm",
}
_NOT_EXPANDED = {
    "0": "depthwise.conv",
    "1": "depthwise.norm",
    "3.fc.0": "gate.reduce",
    "3.fc.2": "gate.restore",
    "4": "project.conv",
    "5": "project.norm",
}
"""The published place of a layer within its block -> its name in ours."""

_ADJUSTED = {
    "conv_kernel.0": "kernel.conv",
    "conv_kernel.1": "kernel.norm",
    "conv_search.0": "search.conv",
    "conv_search.1": "search.norm",
}
_ATTENTION = {"CA_layer.fc1": "attention.first", "CA_layer.fc2": "attention.second"}
_REDUCTION = {"conv.0": "depthwise.conv", "conv.1": "depthwise.norm", "conv.3": "pointwise.conv", "conv.4": "pointwise.norm"}


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose keys these are, or None."""
    return next((variant for key, variant in _MARKS.items() if key in state), None)


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """The same arrays under our keys, without the unused layer; what has no place in the variant keeps its own key."""
    layers = _backbone() | _HEADS[spec.network.architecture]()
    return {_renamed(key, layers): np.asarray(array) for key, array in state.items() if not key.startswith(_UNUSED)}


def _renamed(key: str, layers: Mapping[str, str]) -> str:
    layer, _, parameter = key.rpartition(".")
    return f"{layers[layer]}.{parameter}" if layer in layers else key


def _backbone() -> dict[str, str]:
    layers = {"backbone.features.0.0": "backbone.stem.conv", "backbone.features.0.1": "backbone.stem.norm"}
    for block in range(len(BLOCKS)):
        places = _EXPANDED if block else _NOT_EXPANDED
        layers |= _within(f"backbone.features.{block + 1}.conv", f"backbone.blocks.{block}", places)
    return layers


def _v1() -> dict[str, str]:
    layers = _within("ban_head.corr_pw", "head", _ATTENTION)
    layers |= _tower("ban_head.cls_tower", "head.score.tower", 3)
    layers |= _tower("ban_head.bbox_tower", "head.box.tower", 4)
    return layers | {
        "ban_head.cls_logits.0": "head.score.prediction",
        "ban_head.bbox_pred.0": "head.box.prediction",
    }


def _v2() -> dict[str, str]:
    layers: dict[str, str] = {}
    for theirs, ours in (("cls", "score"), ("reg", "box")):
        layers |= _within(f"ban_head.corr_pw_{theirs}", f"head.{ours}.pixels", _ADJUSTED | _ATTENTION)
    layers |= _tower("ban_head.cls_pw_tower", "head.score.output.tower", 6)
    layers |= _tower("ban_head.bbox_pw_tower", "head.box.output.tower", 6)
    return layers | {
        "ban_head.cls_pred.0": "head.score.output.prediction",
        "ban_head.bbox_pred.0": "head.box.output.prediction",
    }


def _v3() -> dict[str, str]:
    layers: dict[str, str] = {}
    for theirs, ours in (("cls", "score"), ("reg", "box")):
        layers |= _within(f"ban_head.corr_pw_{theirs}", f"head.{ours}.pixels", _ADJUSTED | _ATTENTION)
        layers |= _within(f"ban_head.corr_pw_{theirs}", f"head.{ours}.reduction", _REDUCTION)
        layers |= _within(f"ban_head.corr_dw_{theirs}", f"head.{ours}.depth", _ADJUSTED)
        layers[f"ban_head.down_{theirs}.0"] = f"head.{ours}.join"
    layers |= _linear_tower("ban_head.cls_tower", "head.score.output.tower", 6)
    layers |= _linear_tower("ban_head.bbox_tower", "head.box.output.tower", 6)
    return layers | {
        "ban_head.cls_logits.0": "head.score.output.prediction",
        "ban_head.bbox_pred.0": "head.box.output.prediction",
    }


_HEADS = MappingProxyType({
    Architecture.NANOTRACK_V1: _v1,
    Architecture.NANOTRACK_V2: _v2,
    Architecture.NANOTRACK_V3: _v3,
})  # fmt: skip


def _within(theirs: str, ours: str, places: Mapping[str, str]) -> dict[str, str]:
    return {f"{theirs}.{place}": f"{ours}.{name}" for place, name in places.items()}


def _tower(theirs: str, ours: str, layers: int) -> dict[str, str]:
    """v1, v2: four entries of the published sequence make a layer, its activation the last of them."""
    places = ("depthwise", "pointwise.conv", "pointwise.norm")
    return {
        f"{theirs}.{4 * layer + place}": f"{ours}.{layer}.{name}"
        for layer in range(layers)
        for place, name in enumerate(places)
    }


def _linear_tower(theirs: str, ours: str, layers: int) -> dict[str, str]:
    """v3: five entries make a layer, its activation the third of them."""
    places = {0: "depthwise.conv", 1: "depthwise.norm", 3: "pointwise.conv", 4: "pointwise.norm"}
    return {
        f"{theirs}.{5 * layer + place}": f"{ours}.{layer}.{name}"
        for layer in range(layers)
        for place, name in places.items()
    }
