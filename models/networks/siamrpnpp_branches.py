"""SiamRPN++ as SiamRPN_plus_plus_PyTorch has it: template and search crop go through networks of their own.

| part | layers | map side for crops of 127 / 255 px |
| --- | --- | --- |
| input | divided by 255 | |
| backbones | two ResNet-50 (backbones/resnet50_branch.py), three maps each; of the template's the middle | 7 / 31 |
| at each level, once for the score and once for the box: | | |
| kernel | template map: 3x3 with a bias, padding 1, C -> C, norm | 7 |
| search | search map: 3x3 with a bias, padding 1, C -> C, norm | 31 |
| correlation | depth-wise, unpadded | 25 |
| joint | 1x1 with a bias, C -> C, norm, ReLU | 25 |
| output | 1x1 with a bias, C -> 10 for the score, 20 for the box | 25 |
| fusion | each output is a weighted sum of the three levels', plus a bias | 25 x 5 anchors |

Facts: network/SiamRPN.py and network/RPN.py there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.grids import ANCHOR_RATIOS
from models.networks.backbones.resnet50_branch import ResNet50Branch
from models.networks.correlation import depthwise_valid
from models.networks.heads.anchors import AnchorDecoder, AnchorNetwork
from models.networks.layers import convolution
from models.networks.siamrpn import map_size
from models.networks.siamrpnpp import TEMPLATE_MARGIN
from models.spec import ModelSpec

_SCORES = 2 * len(ANCHOR_RATIOS)
_BOXES = 4 * len(ANCHOR_RATIOS)


class Question(nn.Module):
    """One question to one level."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.kernel = convolution(channels, channels, 3, padding=1)
        self.search = convolution(channels, channels, 3, padding=1)
        self.joint = convolution(channels, channels, 1)
        self.output = nn.Conv2d(channels, outputs, 1)

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """Kernel (B, C, 7, 7) and search map (B, C, H, W) -> (B, outputs, H - 6, W - 6)."""
        compared = depthwise_valid(kernel, self.search(search))
        answer: Tensor = self.output(functional.relu(self.joint(compared)))
        return answer


class Questions(nn.Module):
    """One question to all levels, and how the answers are joined: every output has weights and a bias of its own."""

    def __init__(self, channels: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList([Question(each, outputs) for each in channels])
        self.fusion = nn.Conv2d(outputs * len(channels), outputs, 1, groups=outputs)

    def template(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Template maps -> a kernel for each level."""
        return tuple(cast("Question", level).kernel(each) for level, each in zip(self.levels, maps, strict=True))

    def forward(self, kernels: Sequence[Tensor], maps: Sequence[Tensor]) -> Tensor:
        """Kernels and search maps -> (B, outputs, H', W')."""
        answers = [level(*pair) for level, *pair in zip(self.levels, kernels, maps, strict=True)]
        joined: Tensor = self.fusion(torch.stack(answers, dim=2).flatten(1, 2))
        return joined


class SiamRpnBranches(AnchorNetwork):
    """The network: template and search crops in, scores and boxes of all anchors out."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        channels = spec.network.channels
        self.template_backbone = ResNet50Branch(channels)
        self.search_backbone = ResNet50Branch(channels)
        self.score = Questions(channels, _SCORES)
        self.box = Questions(channels, _BOXES)
        self.decoder = AnchorDecoder(spec, {size: map_size(spec, size, TEMPLATE_MARGIN) for size in spec.search_sizes})

    def template_levels(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, Z, Z, 3) BGR in 0..255 -> the template's three maps, whole."""
        maps: tuple[Tensor, ...] = self.template_backbone(_scaled(crops))
        return maps

    def template(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Template crops -> correlation kernels: the score's of all levels, then the box's."""
        inner = slice(TEMPLATE_MARGIN, -TEMPLATE_MARGIN)
        maps = [level[:, :, inner, inner] for level in self.template_levels(crops)]
        return (*self.score.template(maps), *self.box.template(maps))

    def outputs(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, ...]:
        """Kernels and search crops -> logits (B, 10, s, s) and deltas (B, 20, s, s)."""
        maps = self.search_backbone(_scaled(crops))
        half = len(features) // 2
        return self.score(features[:half], maps), self.box(features[half:], maps)


def _scaled(crops: Tensor) -> Tensor:
    return crops.permute(0, 3, 1, 2).float() / 255
