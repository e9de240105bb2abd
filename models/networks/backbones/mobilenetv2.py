"""MobileNetV2, 1.4 times as wide, as SiamRPN++ uses it: total stride 8, its last stages dilated instead of strided.

Facts: pysot, models/backbone/mobile_v2.py. Channels are 1.4 times the paper's, rounded down.

| layer | expansion | channels | blocks | stride | dilation of the first block / the others | map side for crops of 127 / 255 px |
| --- | --- | --- | --- | --- | --- | --- |
| stem: 3x3, no padding | | 44 | | 2 | | 63 / 127 |
| layer1 | 1 | 22 | 1 | 1 | 1 | 63 / 127 |
| layer2 | 6 | 33 | 2 | 2 | 1 / 1 | 31 / 63 |
| layer3 | 6 | 44 | 3 | 2 | 1 / 1 | 15 / 31 |
| layer4 | 6 | 89 | 4 | 1 | 1 / 2 | 15 / 31 |
| layer5 | 6 | 134 | 3 | 1 | 2 / 2 | 15 / 31 |
| layer6 | 6 | 224 | 3 | 1 | 2 / 4 | 15 / 31 |
| layer7 | 6 | 448 | 1 | 1 | 4 | 15 / 31 |

A block is 1x1, depth-wise 3x3, 1x1, each with norm; ReLU6 after the first two; a shortcut where the shape stays.
"""  # noqa: E501

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.networks.layers import normed


class InvertedResidual(nn.Module):
    """One block; a stride of 2 goes without padding."""

    def __init__(self, inputs: int, outputs: int, expansion: int, stride: int, dilation: int) -> None:
        super().__init__()
        middle = inputs * expansion
        padding = dilation if stride == 1 else 0
        self.residual = stride == 1 and inputs == outputs
        self.expand = normed(inputs, middle, 1)
        self.depthwise = normed(middle, middle, 3, stride=stride, padding=padding, dilation=dilation, groups=middle)
        self.project = normed(middle, outputs, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H', W')."""
        inner = functional.relu6(self.expand(maps))
        inner = functional.relu6(self.depthwise(inner))
        projected: Tensor = self.project(inner)
        return maps + projected if self.residual else projected


class MobileNetV2(nn.Module):
    """Stem and all seven layers."""

    channels = (44, 134, 448)

    def __init__(self) -> None:
        super().__init__()
        self.stem = normed(3, 44, 3, stride=2)
        self.layer1 = _stage(44, 22, expansion=1, dilations=(1,))
        self.layer2 = _stage(22, 33, stride=2, dilations=(1, 1))
        self.layer3 = _stage(33, 44, stride=2, dilations=(1, 1, 1))
        self.layer4 = _stage(44, 89, dilations=(1, 2, 2, 2))
        self.layer5 = _stage(89, 134, dilations=(2, 2, 2))
        self.layer6 = _stage(134, 224, dilations=(2, 4, 4))
        self.layer7 = _stage(224, 448, dilations=(4,))

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) BGR in 0..255 -> the maps of layer3, layer5 and layer7, all of one side."""
        maps = functional.relu6(self.stem(crops))
        third = self.layer3(self.layer2(self.layer1(maps)))
        fifth = self.layer5(self.layer4(third))
        return third, fifth, self.layer7(self.layer6(fifth))


def _stage(
    inputs: int, outputs: int, *, dilations: tuple[int, ...], stride: int = 1, expansion: int = 6
) -> nn.Sequential:
    """One block for each dilation; the first one changes the channels and the map's side."""
    first, *others = dilations
    blocks = [InvertedResidual(inputs, outputs, expansion, stride, first)]
    blocks += [InvertedResidual(outputs, outputs, expansion, 1, dilation) for dilation in others]
    return nn.Sequential(*blocks)
