"""How much a pair counts."""

from __future__ import annotations

import torch
from torch import Tensor


def pair_weights(gaps: Tensor, decay_frames: float) -> Tensor:
    """(B,) frames between template and search crop -> weights exp(-gap / decay_frames); all 1 if that is 0.

    SiamRPN-TF, with 100 frames: the further apart, the less alike."""
    if decay_frames == 0:
        return torch.ones(len(gaps), device=gaps.device)
    return torch.exp(-gaps / decay_frames)
