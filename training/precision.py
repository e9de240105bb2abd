"""Half precision for the forward pass, where it pays."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from training.fit_recipe import Precision


class _Float32Conv2d(nn.Conv2d):
    """A convolution that stays in float32 within `autocast`."""

    def forward(self, maps: Tensor) -> Tensor:
        """As `nn.Conv2d`."""
        with torch.autocast(maps.device.type, enabled=False):
            return super().forward(maps.float())


def prepare(network: nn.Module, precision: Precision, device: torch.device) -> None:
    """Keeps the layers that lose by half precision in float32; parameters and their names stay as they are."""
    if precision is Precision.FLOAT32:
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and (_gives_numbers(module) or _slow_in_half(module, device)):
            module.__class__ = _Float32Conv2d


def forward_in(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """The context of a forward pass."""
    kind = torch.float16 if precision is Precision.FLOAT16 else torch.bfloat16
    return torch.autocast(device.type, kind, enabled=precision is not Precision.FLOAT32)


def _gives_numbers(conv: nn.Conv2d) -> bool:
    """Layers whose outputs are scores and distances: eight bits are a tenth of a pixel."""
    return conv.out_channels <= 4


def _slow_in_half(conv: nn.Conv2d, device: torch.device) -> bool:
    """On a processor the gradient of a wide depth-wise convolution takes three times as long in bfloat16."""
    return device.type == "cpu" and conv.groups > 1 and conv.kernel_size[0] > 3
