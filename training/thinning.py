"""A thinned backbone that begins with a trained one's weights: of every block the inner channels that weigh most."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from models.networks.backbones.efficientnet_lite import EfficientNetLite0


def thin(whole: Mapping[str, Tensor], thinned: EfficientNetLite0) -> None:
    """Fills `thinned` with the weights of a whole backbone's state: the same blocks with fewer inner channels.

    An inner channel weighs what the projection makes of it: the norm of its column there times the scale of its batch
    norm (Liu et al., "Learning Efficient Convolutional Networks through Network Slimming", ICCV 2017, take the scale
    alone). Raises RuntimeError if a block of `thinned` has other inputs or outputs than that of the same number."""
    chosen: dict[str, Tensor] = {}
    stem = torch.arange(len(whole["_bn0.weight"]))
    for number, block in enumerate(thinned.blocks):
        prefix = f"_blocks.{number}."
        own = {key.removeprefix(prefix): value for key, value in whole.items() if key.startswith(prefix)}
        kept = _heaviest(own, block.middle)
        if number == 0:
            stem = kept
        chosen |= {prefix + key: _part(key, value, kept) for key, value in own.items()}
    for key in ("_conv_stem.weight", *(key for key in whole if key.startswith("_bn0."))):
        chosen[key] = whole[key][stem] if whole[key].ndim else whole[key]
    thinned.load_state_dict(chosen)


def _heaviest(block: Mapping[str, Tensor], count: int) -> Tensor:
    """The `count` inner channels that weigh most, in their old order."""
    columns = block["_project_conv.weight"].flatten(1).norm(dim=0)
    return torch.topk(columns * block["_bn1.weight"].abs(), count).indices.sort().values


def _part(key: str, value: Tensor, kept: Tensor) -> Tensor:
    """What of a block's tensor belongs to the kept inner channels."""
    if key == "_project_conv.weight":
        return value[:, kept]
    # The projection's norm is of the block's outputs, and counters have no channels.
    return value if key.startswith("_bn2.") or not value.ndim else value[kept]
