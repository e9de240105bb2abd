"""The depth-wise region proposal network of SiamRPN++: SiamRPN++ (CVPR 2019), section 3.4; pysot, models/head/rpn.py.

At each level, once for the score and once for the box, C being the level's channels:

| part | layers | map side: AlexNet | SiamRPN++ |
| --- | --- | --- | --- |
| kernel | template map: 3x3 C -> C, norm, ReLU | 6 -> 4 | 7 -> 5 |
| search | search map: 3x3 C -> C, norm, ReLU | 26 -> 24 | 31 -> 29 |
| correlation | depth-wise, unpadded | 21 | 25 |
| joint | 1x1 C -> C, norm, ReLU | 21 | 25 |
| output | 1x1 with a bias, C -> 10 for the score, 20 for the box | 21 | 25 |

The outputs of all levels are added with learnt weights (softmax), or averaged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.grids import ANCHOR_RATIOS
from models.networks.correlation import depthwise_valid
from models.networks.layers import normed


class Branch(nn.Module):
    """One question to one level."""

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.kernel = normed(channels, channels, 3)
        self.search = normed(channels, channels, 3)
        self.joint = normed(channels, channels, 1)
        self.output = nn.Conv2d(channels, outputs, 1)

    def template(self, template: Tensor) -> Tensor:
        """(B, C, h, w) template map -> (B, C, h - 2, w - 2) correlation kernel."""
        return functional.relu(self.kernel(template))

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """Kernel and (B, C, H, W) search map -> (B, outputs, H', W')."""
        compared = depthwise_valid(kernel, functional.relu(self.search(search)))
        answer: Tensor = self.output(functional.relu(self.joint(compared)))
        return answer


class Level(nn.Module):
    """Both questions to one level."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score = Branch(channels, 2 * len(ANCHOR_RATIOS))
        self.box = Branch(channels, 4 * len(ANCHOR_RATIOS))

    def template(self, template: Tensor) -> tuple[Tensor, Tensor]:
        """Template map -> the score's and the box's kernel."""
        return self.score.template(template), self.box.template(template)

    def forward(self, score_kernel: Tensor, box_kernel: Tensor, search: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels and search map -> logits (B, 10, H', W') and deltas (B, 20, H', W')."""
        return self.score(score_kernel, search), self.box(box_kernel, search)


class DepthwiseRpn(nn.Module):
    """All levels, and how they are joined. Kernels: the score's and the box's of the first level, then of the next."""

    def __init__(self, channels: Sequence[int], weighted: bool) -> None:
        super().__init__()
        self.levels = nn.ModuleList([Level(each) for each in channels])
        self.weighted = weighted
        if weighted:
            self.score_weights = nn.Parameter(torch.ones(len(channels)))
            self.box_weights = nn.Parameter(torch.ones(len(channels)))

    def template(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Template maps, one for each level -> correlation kernels."""
        levels = cast("Iterable[Level]", self.levels)
        return tuple(kernel for level, each in zip(levels, maps, strict=True) for kernel in level.template(each))

    def forward(self, kernels: Sequence[Tensor], maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Kernels and search maps -> logits (B, 10, H', W') and deltas (B, 20, H', W')."""
        inputs = zip(self.levels, kernels[::2], kernels[1::2], maps, strict=True)
        scores, boxes = zip(*[level(*tensors) for level, *tensors in inputs], strict=True)
        if self.weighted:
            return _weighted(scores, self.score_weights), _weighted(boxes, self.box_weights)
        return torch.stack(scores).mean(0), torch.stack(boxes).mean(0)


def _weighted(outputs: tuple[Tensor, ...], weights: Tensor) -> Tensor:
    return torch.stack(outputs, dim=-1) @ weights.softmax(0)
