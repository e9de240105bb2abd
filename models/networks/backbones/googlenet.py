"""Inception v3 up to its fourth 768-channel block, total stride 8 (video_analyst, backbone_impl/googlenet.py).

All convolutions are followed by norm (epsilon 1e-3) and ReLU, `reduce` by norm alone; only `reduce` has a bias.
Input: (v - 127.5) / 127.5, RGB.

| layer | kernel | stride | padding | channels | side of the map for crops of 127 / 303 px |
| --- | --- | --- | --- | --- | --- |
| stem 1 | 3 | 2 | 0 | 3 -> 32 | 63 / 151 |
| stem 2 | 3 | 1 | 0 | 32 -> 32 | 61 / 149 |
| stem 3 | 3 | 1 | 1 | 32 -> 64 | 61 / 149 |
| max-pool | 3 | 2 | 0 | | 30 / 74 |
| stem 4 | 1 | 1 | 0 | 64 -> 80 | 30 / 74 |
| stem 5 | 3 | 1 | 0 | 80 -> 192 | 28 / 72 |
| mixed_5b, 5c, 5d | block A | 1 | | 192 -> 256 -> 288 -> 288 | 28 / 72 |
| mixed_6a | block B | 2 | | 288 -> 768 | 13 / 35 |
| mixed_6b, 6c, 6d, 6e | block C, width 128, 160, 160, 192 | 1 | | 768 | 13 / 35 |
| 4 cells cut off on every side | | | | | 5 / 27 |
| reduce | 1 | 1 | 0 | 768 -> 256 | 5 / 27 |

The blocks join their branches' channels, in this order (kernels as height x width; padded where the stride is 1):

| block | branches |
| --- | --- |
| A | 1x1 64; 1x1 48, 5x5 64; 1x1 64, 3x3 96, 3x3 96; mean of 3x3, 1x1 32 (5b) or 64 |
| B | 3x3 384 stride 2; 1x1 64, 3x3 96, 3x3 96 stride 2; max of 3x3 stride 2 |
| C | 1x1 192; 1x1 width, 1x7 width, 7x1 192; 1x1 width, 7x1, 1x7, 7x1 width, 1x7 192; mean of 3x3, 1x1 192 |

The zeros around a map count in its means of 3x3.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.layers import Pair, convolution

EPSILON = 1e-3
RIM = 4
"""Cells at each side that see the padding of the blocks."""


class GoogLeNet(nn.Module):
    """(B, 3, S, S) BGR in 0..255 -> (B, 256, s, s)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _layer(3, 32, 3, stride=2), _layer(32, 32, 3), _layer(32, 64, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
            _layer(64, 80, 1), _layer(80, 192, 3),
        )  # fmt: skip
        self.mixed_5b = _block_a(192, pooled=32)
        self.mixed_5c = _block_a(256, pooled=64)
        self.mixed_5d = _block_a(288, pooled=64)
        self.mixed_6a = _block_b()
        self.mixed_6b = _block_c(width=128)
        self.mixed_6c = _block_c(width=160)
        self.mixed_6d = _block_c(width=160)
        self.mixed_6e = _block_c(width=192)
        self.reduce = convolution(768, 256, 1, epsilon=EPSILON)

    def forward(self, crops: Tensor) -> Tensor:
        """The whole table above."""
        maps = self.stem((crops.flip(1) - 127.5) / 127.5)
        maps = self.mixed_5d(self.mixed_5c(self.mixed_5b(maps)))
        maps = self.mixed_6e(self.mixed_6d(self.mixed_6c(self.mixed_6b(self.mixed_6a(maps)))))
        reduced: Tensor = self.reduce(maps[:, :, RIM:-RIM, RIM:-RIM])
        return reduced


class Branches(nn.ModuleDict):
    """Layers side by side on the same map."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> the branches' channels, one after the other."""
        return torch.cat([branch(maps) for branch in self.values()], dim=1)


def _layer(inputs: int, outputs: int, kernel: int | Pair, stride: int = 1, padding: int | Pair = 0) -> nn.Sequential:
    return convolution(inputs, outputs, kernel, stride=stride, padding=padding, bias=False, epsilon=EPSILON, relu=True)


def _row(inputs: int, outputs: int) -> nn.Sequential:
    return _layer(inputs, outputs, (1, 7), padding=(0, 3))


def _column(inputs: int, outputs: int) -> nn.Sequential:
    return _layer(inputs, outputs, (7, 1), padding=(3, 0))


def _mean(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.AvgPool2d(3, stride=1, padding=1), _layer(inputs, outputs, 1))


def _block_a(inputs: int, pooled: int) -> Branches:
    return Branches({
        "point": nn.Sequential(_layer(inputs, 64, 1)),
        "once": nn.Sequential(_layer(inputs, 48, 1), _layer(48, 64, 5, padding=2)),
        "twice": nn.Sequential(_layer(inputs, 64, 1), _layer(64, 96, 3, padding=1), _layer(96, 96, 3, padding=1)),
        "pool": _mean(inputs, pooled),
    })  # fmt: skip


def _block_b() -> Branches:
    return Branches({
        "once": nn.Sequential(_layer(288, 384, 3, stride=2)),
        "twice": nn.Sequential(_layer(288, 64, 1), _layer(64, 96, 3, padding=1), _layer(96, 96, 3, stride=2)),
        "pool": nn.MaxPool2d(3, stride=2),
    })  # fmt: skip


def _block_c(width: int) -> Branches:
    return Branches({
        "point": nn.Sequential(_layer(768, 192, 1)),
        "once": nn.Sequential(_layer(768, width, 1), _row(width, width), _column(width, 192)),
        "twice": nn.Sequential(
            _layer(768, width, 1), _column(width, width), _row(width, width), _column(width, width), _row(width, 192)
        ),
        "pool": _mean(768, 192),
    })  # fmt: skip
