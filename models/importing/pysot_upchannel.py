"""Checkpoints of pysot's module for SiamRPN of 2018 (UPChannelRPN on AlexNetLegacy): its names of layers -> ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.renaming import renamed
from models.importing.upchannel import Names
from models.spec import ModelSpec

VARIANTS: tuple[str, ...] = ("siamrpn_upchannel_pysot",)

_NAMES = Names(
    "backbone.features",
    "rpn_head.template_cls_conv",
    "rpn_head.search_cls_conv",
    "rpn_head.template_loc_conv",
    "rpn_head.search_loc_conv",
    "rpn_head.loc_adjust",
)


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose keys and shapes these are, or None."""
    return "siamrpn_upchannel_pysot" if _NAMES.channels(state) == 256 else None


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """The same arrays under our keys; what has no place in the network keeps its own key."""
    return {renamed(key, _NAMES.to_ours()): np.asarray(value) for key, value in state.items()}
