"""Checkpoints of huanglianghua/siamrpn-pytorch: its names of layers -> ours, and its RGB -> our BGR."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.renaming import renamed
from models.importing.upchannel import Names, reads_bgr
from models.spec import ModelSpec

VARIANTS: tuple[str, ...] = ("siamrpn_huanglianghua",)

_NAMES = Names("feature", "conv_cls_z", "conv_cls_x", "conv_reg_z", "conv_reg_x", "adjust_reg")


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose keys and shapes these are, or None."""
    return "siamrpn_huanglianghua" if _NAMES.channels(state) == 512 else None


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """The same arrays under our keys; what has no place in the network keeps its own key."""
    return reads_bgr({renamed(key, _NAMES.to_ours()): np.asarray(value) for key, value in state.items()})
