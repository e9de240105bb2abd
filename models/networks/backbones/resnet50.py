"""ResNet-50 as SiamRPN++ uses it: total stride 8, its last two stages dilated instead of strided.

Facts: pysot, models/backbone/resnet_atrous.py; the same arithmetic as mmtracking's models/backbones/sot_resnet.py.

| stage | blocks | channels | stride | 3x3 of the first block: padding, dilation | of the others | first block's projection | map side for crops of 127 / 255 / 831 px |
| --- | --- | --- | --- | --- | --- | --- | --- |
| stem: 7x7, norm, ReLU | 1 | 64 | 2 | 0, 1 | | | 61 / 125 / 413 |
| max-pool 3x3, padding 1 | | 64 | 2 | | | | 31 / 63 / 207 |
| layer1 | 3 | 256 | 1 | 1, 1 | 1, 1 | 1x1 | 31 / 63 / 207 |
| layer2 | 4 | 512 | 2 | 0, 1 | 1, 1 | 3x3, strided and padded as the block's own 3x3 | 15 / 31 / 103 |
| layer3 | 6 | 1024 | 1 | 1, 1 | 2, 2 | 3x3, likewise | 15 / 31 / 103 |
| layer4 | 3 | 2048 | 1 | 2, 2 | 4, 4 | 3x3, likewise | 15 / 31 / 103 |

A block is 1x1, 3x3, 1x1, each with norm; ReLU after the first two and after the sum with the shortcut.
"""  # noqa: E501

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.networks.layers import normed


class Bottleneck(nn.Module):
    """One block; a stride of 2 goes without padding."""

    def __init__(
        self, inputs: int, width: int, stride: int = 1, dilation: int = 1, projection: nn.Module | None = None
    ) -> None:
        """projection: what the shortcut goes through where the block changes the map's shape."""
        super().__init__()
        padding = dilation if stride == 1 else 0
        self.reduce = normed(inputs, width, 1)
        self.middle = normed(width, width, 3, stride=stride, padding=padding, dilation=dilation)
        self.expand = normed(width, 4 * width, 1)
        self.projection = projection if projection is not None else nn.Identity()

    def forward(self, maps: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, 4 width, H', W')."""
        inner = functional.relu(self.reduce(maps))
        inner = functional.relu(self.middle(inner))
        return functional.relu(self.expand(inner) + self.projection(maps))


class ResNet50(nn.Module):
    """Stem and all four stages."""

    channels = (512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.stem = normed(3, 64, 7, stride=2)
        self.layer1 = _stage(64, 64, 3, normed(64, 256, 1))
        self.layer2 = _stage(256, 128, 4, normed(256, 512, 3, stride=2), stride=2)
        self.layer3 = _stage(512, 256, 6, normed(512, 1024, 3, padding=1), dilation=2)
        self.layer4 = _stage(1024, 512, 3, normed(1024, 2048, 3, padding=2, dilation=2), dilation=4)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, S, S) BGR in 0..255 -> the maps of layer2, layer3 and layer4, all of one side."""
        maps = functional.relu(self.stem(crops))
        maps = self.layer1(functional.max_pool2d(maps, 3, stride=2, padding=1))
        second = self.layer2(maps)
        third = self.layer3(second)
        return second, third, self.layer4(third)


def _stage(
    inputs: int, width: int, blocks: int, projection: nn.Module, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    first = Bottleneck(inputs, width, stride, max(dilation // 2, 1), projection)
    return nn.Sequential(first, *[Bottleneck(4 * width, width, dilation=dilation) for _ in range(blocks - 1)])
