"""ShuffleNetV2 for tracking, total stride 8 (video_analyst, backbone_impl/shufflenet_v2.py).

Convolutions have no bias. Input: RGB, v / 255, less ImageNet's mean, over its deviation.

| layer | kernel | stride | padding | channels x0.5 | channels x1.0 | side of the map for crops of 127 / 303 px |
| --- | --- | --- | --- | --- | --- | --- |
| stem (norm, ReLU) | 3 | 2 | 1 | 3 -> 24 | 3 -> 24 | 64 / 152 |
| max-pool | 3 | 2 | 1 | 24 | 24 | 32 / 76 |
| stage2: widening unit, 3 plain units | 3 | 2 | 1 | 24 -> 48 | 24 -> 116 | 16 / 38 |
| stage3: widening unit, 7 plain units | 3 | 1 | 1 | 48 -> 96 | 116 -> 232 | 16 / 38 |
| stage4: widening unit, 3 plain units | 3 | 1 | 1 | 96 -> 192 | 232 -> 464 | 16 / 38 |
| stages 2, 3 and 4 joined | | | | 336 | 812 | 16 / 38 |
| 4 cells cut off on every side | | | | | | 8 / 30 |
| reduce (norm, ReLU) | 1 | 1 | 0 | 336 -> 256 | 812 -> 256 | 8 / 30 |

| unit | left half of the output | right half of the output |
| --- | --- | --- |
| plain | left half of the input | expand, depthwise, project: of the right half of the input |
| widening | depthwise, project: of the whole input | expand, depthwise, project: of the whole input |

expand: 1x1 (norm, ReLU); depthwise: 3x3, channel by channel, with the unit's stride (norm); project: 1x1 (norm, ReLU).

Then the channels of the two halves are shuffled into each other: left 0, right 0, left 1, right 1, ...
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.layers import convolution

STEM_CHANNELS = 24
PLAIN_UNITS = (3, 7, 3)
FIRST_STRIDES = (2, 1, 1)
RIM = 4
"""Cells at each side that see the padding of the layers."""
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""ImageNet's, of red, green and blue in 0..1."""


class ShuffleNetV2(nn.Module):
    """(B, 3, S, S) BGR in 0..255 -> (B, 256, s, s). `channels`: of stage2; each stage after it has twice as many."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).reshape(3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION).reshape(3, 1, 1), persistent=False)
        self.stem = convolution(3, STEM_CHANNELS, 3, stride=2, padding=1, bias=False, relu=True)
        widths = (STEM_CHANNELS, channels, 2 * channels, 4 * channels)
        self.stage2, self.stage3, self.stage4 = (
            nn.Sequential(WideningUnit(inputs, outputs, stride), *(PlainUnit(outputs) for _ in range(plain)))
            for inputs, outputs, stride, plain in zip(widths[:-1], widths[1:], FIRST_STRIDES, PLAIN_UNITS, strict=True)
        )
        self.reduce = convolution(sum(widths[1:]), 256, 1, bias=False, relu=True)

    def forward(self, crops: Tensor) -> Tensor:
        """The whole table above."""
        maps = self.stem((crops.flip(1) / 255 - self.mean) / self.deviation)
        stage2 = self.stage2(functional.max_pool2d(maps, 3, stride=2, padding=1))
        stage3 = self.stage3(stage2)
        joined = torch.cat([stage2, stage3, self.stage4(stage3)], dim=1)
        reduced: Tensor = self.reduce(joined[:, :, RIM:-RIM, RIM:-RIM])
        return reduced


class PlainUnit(nn.Module):
    """(B, C, H, W) -> (B, C, H, W)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.right = _right(channels // 2, channels // 2, stride=1)

    def forward(self, maps: Tensor) -> Tensor:
        """The table's row."""
        left, right = maps.chunk(2, dim=1)
        return _shuffled(left, self.right(right))


class WideningUnit(nn.Module):
    """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride), rounded up."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.left = nn.Sequential(_depthwise_and_project(inputs, outputs // 2, stride))
        self.right = _right(inputs, outputs // 2, stride)

    def forward(self, maps: Tensor) -> Tensor:
        """The table's row."""
        return _shuffled(self.left(maps), self.right(maps))


def _depthwise_and_project(inputs: int, outputs: int, stride: int) -> OrderedDict[str, nn.Module]:
    return OrderedDict(
        depthwise=convolution(inputs, inputs, 3, stride=stride, padding=1, groups=inputs, bias=False),
        project=convolution(inputs, outputs, 1, bias=False, relu=True),
    )


def _right(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    expand = convolution(inputs, outputs, 1, bias=False, relu=True)
    return nn.Sequential(OrderedDict(expand=expand, **_depthwise_and_project(outputs, outputs, stride)))


def _shuffled(left: Tensor, right: Tensor) -> Tensor:
    return torch.stack([left, right], dim=2).flatten(1, 2)
