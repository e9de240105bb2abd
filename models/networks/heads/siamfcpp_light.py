"""Neck and head of `siamfcpp_light` and `siamfcpp_tiny`: anchor-free, at stride 8, one score that means IoU."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.backbones.efficientnet_lite import STRIDE8_CHANNELS, STRIDE16_CHANNELS
from models.networks.correlation import depthwise, pixelwise

KERNEL_SPAN = 6  # cells that the depth-wise kernel covers, pooled two by two
PRIOR = 0.02  # share of cells that score high at the start of training


def _convolution(inputs: int, outputs: int, kernel: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups, bias=False), nn.BatchNorm2d(outputs)
    )


def _separable(channels: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(
        _convolution(channels, channels, kernel, groups=channels), _convolution(channels, channels), nn.ReLU()
    )


def _centre(x: Tensor, cells: int) -> Tensor:
    start = (x.shape[-1] - cells) // 2
    return x[:, :, start : start + cells, start : start + cells]


class Neck(nn.Module):
    """Joins the features of stride 8 and stride 16 into one map at stride 8."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.lateral = _convolution(STRIDE8_CHANNELS, channels)
        self.semantic = _convolution(STRIDE16_CHANNELS, channels)
        self.smooth = _separable(channels, 3)

    def forward(self, stride8: Tensor, stride16: Tensor) -> Tensor:
        """(B, 40, H, W), (B, 112, H/2, W/2) -> (B, channels, H, W)."""
        upsampled = functional.interpolate(self.semantic(stride16), scale_factor=2.0, mode="nearest")
        joined: Tensor = self.smooth(functional.relu(self.lateral(stride8) + upsampled))
        return joined


class Head(nn.Module):
    """Compares template and search maps and says for every cell: a score and the distances to the box's four sides."""

    def __init__(self, channels: int, tower_layers: int, half_target: float, template_cells: int) -> None:
        """half_target: half the target's side in a search crop, in pixels; the distances start there.
        template_cells: side of the middle of the template map whose cells are compared one by one."""
        super().__init__()
        self.half_target, self.template_cells = half_target, template_cells
        self.fuse = nn.Sequential(_convolution(2 * channels + template_cells**2, channels), nn.ReLU())
        self.score_tower = nn.Sequential(*[_separable(channels, 5) for _ in range(tower_layers)])
        self.box_tower = nn.Sequential(*[_separable(channels, 5) for _ in range(tower_layers)])
        self.score = nn.Conv2d(channels, 1, 1)
        self.distances = nn.Conv2d(channels, 4, 1)
        nn.init.normal_(self.score.weight, std=0.01)
        assert self.score.bias is not None
        assert self.distances.bias is not None
        nn.init.constant_(self.score.bias, math.log(PRIOR / (1 - PRIOR)))
        nn.init.normal_(self.distances.weight, std=0.01)
        nn.init.zeros_(self.distances.bias)

    def forward(self, template: Tensor, search: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, h, w), (B, C, H, W) -> score logits (B, H, W) and l, t, r, b in crop pixels (B, 4, H, W)."""
        kernel = functional.avg_pool2d(_centre(template, KERNEL_SPAN), 2)
        # Divided so that the similarity's scale doesn't grow with the width.
        similarity = pixelwise(_centre(template, self.template_cells), search) / math.sqrt(search.shape[1])
        fused = self.fuse(torch.cat([search, depthwise(kernel, search, dilation=2), similarity], dim=1))
        logits = self.score(self.score_tower(fused)).squeeze(1)
        exponents = self.distances(self.box_tower(fused)).clamp(-4.0, 3.0)
        return logits, torch.exp(exponents) * self.half_target
