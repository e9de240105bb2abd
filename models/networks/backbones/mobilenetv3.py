"""MobileNetV3-Small up to its last stage of stride 16, as NanoTrack uses it: nothing after it is strided.

Facts: HonglinChu/SiamTrackers, NanoTrack/nanotrack/models/backbone/mobile_v3.py. Only NanoTrack v3 has block 9.

| layer | kernel | inner channels | channels | gate's inner channels | activation | stride | map side for 127 / 255 px |
| --- | --- | --- | --- | --- | --- | --- | --- |
| stem | 3 | | 16 | | hard-swish | 2 | 64 / 128 |
| block 1 | 3 | 16, not expanded | 16 | 8 | ReLU | 2 | 32 / 64 |
| block 2 | 3 | 72 | 24 | | ReLU | 2 | 16 / 32 |
| block 3 | 3 | 88 | 24 | | ReLU | 1 | 16 / 32 |
| block 4 | 5 | 96 | 40 | 24 | hard-swish | 2 | 8 / 16 |
| block 5 | 5 | 240 | 40 | 64 | hard-swish | 1 | 8 / 16 |
| block 6 | 5 | 240 | 40 | 64 | hard-swish | 1 | 8 / 16 |
| block 7 | 5 | 120 | 48 | 32 | hard-swish | 1 | 8 / 16 |
| block 8 | 5 | 144 | 48 | 40 | hard-swish | 1 | 8 / 16 |
| block 9 | 5 | 288 | 96 | 72 | hard-swish | 1 | 8 / 16 |

A block is 1x1, depth-wise, gate, 1x1, each convolution with norm and without bias; activation after the first 1x1 and
after the gate (in block 1 before it); a shortcut where the shape stays.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

from models.networks.layers import convolution

STRIDE = 16


class Row(NamedTuple):
    """One block of the table above; no `gate` is 0."""

    kernel: int
    inner: int
    channels: int
    gate: int
    activation: type[nn.Module]
    stride: int


STEM_CHANNELS = 16
BLOCKS = (
    Row(3, 16, 16, 8, nn.ReLU, 2),
    Row(3, 72, 24, 0, nn.ReLU, 2),
    Row(3, 88, 24, 0, nn.ReLU, 1),
    Row(5, 96, 40, 24, nn.Hardswish, 2),
    Row(5, 240, 40, 64, nn.Hardswish, 1),
    Row(5, 240, 40, 64, nn.Hardswish, 1),
    Row(5, 120, 48, 32, nn.Hardswish, 1),
    Row(5, 144, 48, 40, nn.Hardswish, 1),
    Row(5, 288, 96, 72, nn.Hardswish, 1),
)


class Gate(nn.Module):
    """Weighs each channel by what the means of all channels say."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, inner)
        self.restore = nn.Linear(inner, channels)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        means = maps.mean((2, 3))
        weights = functional.hardsigmoid(self.restore(functional.relu(self.reduce(means))))
        return maps * weights[:, :, None, None]


class Block(nn.Module):
    """One row of the table."""

    def __init__(self, inputs: int, row: Row) -> None:
        super().__init__()
        kernel, inner, outputs, gate, activation, stride = row
        self.residual = stride == 1 and inputs == outputs
        self.expand = convolution(inputs, inner, 1, bias=False) if inner != inputs else None
        self.depthwise = convolution(inner, inner, kernel, stride=stride, padding=kernel // 2, groups=inner, bias=False)
        self.gate = Gate(inner, gate) if gate else nn.Identity()
        self.project = convolution(inner, outputs, 1, bias=False)
        self.activation = activation()

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, channels, H / stride, W / stride), rounded up."""
        if self.expand is None:
            inner = self.gate(self.activation(self.depthwise(maps)))
        else:
            expanded = self.activation(self.expand(maps))
            inner = self.activation(self.gate(self.depthwise(expanded)))
        projected: Tensor = self.project(inner)
        return maps + projected if self.residual else projected


class MobileNetV3Small(nn.Module):
    """Stem and the first blocks."""

    def __init__(self, blocks: int) -> None:
        """blocks: how many of the table's."""
        super().__init__()
        rows = BLOCKS[:blocks]
        self.channels = rows[-1].channels
        inputs = (STEM_CHANNELS, *(row.channels for row in rows[:-1]))
        self.stem = convolution(3, STEM_CHANNELS, 3, stride=2, padding=1, bias=False)
        numbered = enumerate(zip(inputs, rows, strict=True), start=1)
        self.blocks = nn.Sequential(OrderedDict((str(number), Block(*shape)) for number, shape in numbered))

    def forward(self, crops: Tensor) -> Tensor:
        """(B, 3, S, S) BGR in 0..255, neither scaled nor shifted -> (B, channels, S / 16, S / 16), rounded up."""
        maps: Tensor = self.blocks(functional.hardswish(self.stem(crops)))
        return maps
