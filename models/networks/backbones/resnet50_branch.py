"""ResNet-50 as SiamRPN_plus_plus_PyTorch has it, twice: one for templates and one for search crops.

Facts: network/customized_resnet.py there. It differs from backbones/resnet50.py in the dilation, which only the first
blocks have, and in the projections, which have a bias.

| stage | blocks | channels | stride | 3x3 of the first block: padding, dilation | of the others | first block's projection | map side for crops of 127 / 255 px |
| --- | --- | --- | --- | --- | --- | --- | --- |
| stem: 7x7, norm, ReLU | 1 | 64 | 2 | 0, 1 | | | 61 / 125 |
| max-pool 3x3, padding 1 | | 64 | 2 | | | | 31 / 63 |
| layer1 | 3 | 256 | 1 | 1, 1 | 1, 1 | 1x1 | 31 / 63 |
| layer2 | 4 | 512 | 2 | 0, 1 | 1, 1 | 3x3, stride 2, padding 0 | 15 / 31 |
| layer3 | 6 | 1024 | 1 | 2, 2 | 1, 1 | 1x1 | 15 / 31 |
| layer4 | 3 | 2048 | 1 | 4, 4 | 1, 1 | 1x1 | 15 / 31 |
| reduce, after each of layer2, layer3 and layer4: 1x1, neither norm nor ReLU | | 256 | 1 | | | | 15 / 31 |

A block is 1x1, 3x3, 1x1, each with norm; ReLU after the first two and after the sum with the shortcut.
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from models.networks.backbones.resnet50 import Bottleneck
from models.networks.layers import convolution, normed


class ResNet50Branch(nn.Module):
    """Stem, all four stages, and the reduced maps of the last three."""

    def __init__(self, channels: Sequence[int]) -> None:
        """channels: of the three reduced maps."""
        super().__init__()
        self.stem = normed(3, 64, 7, stride=2)
        self.layer1 = _stage(64, 64, 3, convolution(64, 256, 1))
        self.layer2 = _stage(256, 128, 4, convolution(256, 512, 3, stride=2), stride=2)
        self.layer3 = _stage(512, 256, 6, convolution(512, 1024, 1), dilation=2)
        self.layer4 = _stage(1024, 512, 3, convolution(1024, 2048, 1), dilation=4)
        widths = zip((512, 1024, 2048), channels, strict=True)
        self.reduce = nn.ModuleList([nn.Conv2d(inputs, outputs, 1, bias=False) for inputs, outputs in widths])

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) BGR in 0..1 -> three maps of one side."""
        maps = functional.relu(self.stem(crops))
        maps = self.layer1(functional.max_pool2d(maps, 3, stride=2, padding=1))
        second = self.layer2(maps)
        third = self.layer3(second)
        stages = second, third, self.layer4(third)
        return tuple(reduce(stage) for reduce, stage in zip(self.reduce, stages, strict=True))


def _stage(
    inputs: int, width: int, blocks: int, projection: nn.Module, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    first = Bottleneck(inputs, width, stride, dilation, projection)
    return nn.Sequential(first, *[Bottleneck(4 * width, width) for _ in range(blocks - 1)])
