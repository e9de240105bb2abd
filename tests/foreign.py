"""Checkpoints as other code bases write them, made of our own networks with fresh weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from models.importing import video_analyst
from models.networks import build
from models.variants import VARIANTS

_BLOCKS = (
    *(f"basemodel.conv{number}" for number in ("1", "2a", "2b", "3a", "3b")),
    *(f"head.{branch}_p5_conv{number}" for branch in ("cls", "bbox") for number in (1, 2, 3)),
    *("head.cls_score_p5", "head.ctr_score_p5", "head.bbox_offsets_p5"),
    *("c_z_k", "r_z_k", "c_x", "r_x"),
)
_PARTS = (
    *("conv.weight", "conv.bias"),
    *(f"bn.{part}" for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")),
)


def tinyconv_state() -> dict[str, Tensor]:
    """A state dict of video_analyst's smallest tracker under its own names."""
    spec = VARIANTS["siamfcpp_tinyconv"]
    torch.manual_seed(5)
    weights = build(spec).state_dict()
    names = ["head.si", "head.bi", *(f"{block}.{part}" for block in _BLOCKS for part in _PARTS)]
    # Which of our names each of theirs becomes: numbers go through the conversion in place of arrays.
    ours = video_analyst.convert({name: np.asarray(index) for index, name in enumerate(names)}, spec)
    state = {names[int(index)]: weights[name] for name, index in ours.items() if name in weights}
    assert len(state) == len(weights)
    return state


def as_training_writes(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Wrapped beside an optimiser's state, with names as DataParallel makes them."""
    optimiser = {"state": {0: {"momentum_buffer": torch.ones(2)}}, "param_groups": [{"lr": np.float64(0.01)}]}
    prefixed = {f"module.{name}": tensor for name, tensor in state.items()}
    return {"epoch": 19, "state_dict": prefixed, "optimizer": optimiser}
