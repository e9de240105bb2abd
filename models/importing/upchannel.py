"""One network, SiamRPN of 2018, under three sets of names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.importing.renaming import Renaming, renaming

_CONVOLUTIONS = (0, 4, 8, 11, 14)
"""AlexNet's convolutions where all layers are counted in one row; the norm follows its convolution."""


class Names(NamedTuple):
    """What one code base calls the parts."""

    backbone: str
    score_kernel: str
    score_search: str
    box_kernel: str
    box_search: str
    box_adjust: str

    def to_ours(self) -> Renaming:
        """Their keys -> ours."""
        backbone = re.escape(self.backbone)
        heads = [(rf"{re.escape(getattr(self, part))}\.", f"head.{part}.") for part in self._fields[1:]]
        return renaming(
            *((rf"{backbone}\.{first}\.", f"backbone.conv{i}.conv.") for i, first in enumerate(_CONVOLUTIONS, 1)),
            *((rf"{backbone}\.{first + 1}\.", f"backbone.conv{i}.norm.") for i, first in enumerate(_CONVOLUTIONS, 1)),
            *heads,
        )

    def channels(self, state: Mapping[str, Any]) -> int | None:
        """Channels of the maps that are compared, where the keys are these; else None."""
        needed = [f"{self.backbone}.{_CONVOLUTIONS[-1]}.weight", f"{self.score_kernel}.weight"]
        return int(state[needed[0]].shape[0]) if all(key in state for key in needed) else None


def reads_bgr(state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The weights, under our keys, of a network that was trained on RGB -> those of one that does the same on BGR."""
    key = "backbone.conv1.conv.weight"
    return state | ({key: np.ascontiguousarray(state[key][:, ::-1])} if key in state else {})
