"""Checkpoints of DaSiamRPN: its names of layers -> ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.renaming import renamed
from models.importing.upchannel import Names
from models.spec import ModelSpec

VARIANTS: tuple[str, ...] = ("dasiamrpn_vot", "dasiamrpn_otb", "dasiamrpn_big")

_NAMES = Names("featureExtract", "conv_cls1", "conv_cls2", "conv_r1", "conv_r2", "regress_adjust")
_BY_CHANNELS = {256: "dasiamrpn_vot", 512: "dasiamrpn_big"}


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose keys and shapes these are, or None. Nothing tells the model for OTB from that for VOT."""
    return _BY_CHANNELS.get(_NAMES.channels(state) or 0)


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """The same arrays under our keys; what has no place in the network keeps its own key."""
    return {renamed(key, _NAMES.to_ours()): np.asarray(value) for key, value in state.items()}
