"""Heads of NanoTrack v1, v2 and v3: pixel-wise correlation, then towers of separable convolutions, without anchors.

Facts: HonglinChu/SiamTrackers, NanoTrack/nanotrack/models/head/ban_v1.py to ban_v3.py and core/xcorr.py. The layers
stand in `models.networks.nanotrack`. Every head gives (B, 2, S, S) logits of background and target, and (B, 4, S, S)
distances of each cell to the box's left, top, right and bottom, in search crop pixels.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.networks.correlation import depthwise_valid, pixelwise
from models.networks.layers import convolution

TEMPLATE_CELLS = 64
CLASSES, SIDES = 2, 4


class Attention(nn.Module):
    """Weighs each channel by what the means of all channels say."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 1)
        self.second = nn.Conv2d(channels, channels, 1)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        means = maps.mean((2, 3), keepdim=True)
        return maps * torch.sigmoid(self.second(functional.relu(self.first(means))))


class PixelComparison(nn.Module):
    """Every cell of the template with every cell of the search map, after a 1x1 convolution of each."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernel = convolution(channels, channels, 1)
        self.search = convolution(channels, channels, 1)
        self.attention = Attention(TEMPLATE_CELLS)

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """(B, C, 8, 8) from `kernel`, (B, C, H, W) -> (B, 64, H, W)."""
        weighed: Tensor = self.attention(pixelwise(kernel, self.search(search)))
        return weighed


class DepthComparison(nn.Module):
    """The template's middle as one kernel for each channel, after a 1x1 convolution of both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.kernel = convolution(channels, channels, 1)
        self.search = convolution(channels, channels, 1)

    def forward(self, kernel: Tensor, search: Tensor) -> Tensor:
        """(B, C, 4, 4) from `kernel`, (B, C, H, W) -> (B, C, H - 1, W - 1)."""
        return depthwise_valid(kernel, self.search(search), padding=1)


def separable(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """A layer of the towers of v1 and v2: norm after the 1x1 only."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            depthwise=nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False),
            pointwise=convolution(inputs, outputs, 1, bias=False),
            activation=nn.ReLU6(),
        )
    )


def linear_separable(channels: int, kernel: int, padding: int, *, bias: bool = False) -> nn.Sequential:
    """A layer of the towers of v3: norm after both, nothing after the last. bias: the 1x1's."""
    return nn.Sequential(
        OrderedDict[str, nn.Module](
            depthwise=convolution(channels, channels, kernel, padding=padding, groups=channels, bias=False),
            activation=nn.ReLU6(),
            pointwise=convolution(channels, channels, 1, bias=bias),
        )
    )


def tower(channels: Sequence[int], kernels: Sequence[int]) -> nn.Sequential:
    """Layers of v1 and v2; channels: those of the input and of each layer's output."""
    layers = zip(pairwise(channels), kernels, strict=True)
    return nn.Sequential(*(separable(inputs, outputs, kernel) for (inputs, outputs), kernel in layers))


class HeadV1(nn.Module):
    """One comparison, without any layer before it, for both outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention(TEMPLATE_CELLS)
        self.score = _output(tower((64, 128, 128, 128), (5, 5, 3)), 128, CLASSES)
        self.box = _output(tower((64, 96, 96, 96, 96), (3, 3, 5, 5)), 96, SIDES)

    def template(self, features: Tensor) -> tuple[Tensor, ...]:
        """(B, C, 8, 8) as they are."""
        return (features,)

    def forward(self, template: tuple[Tensor, ...], search: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels from `template`, and (B, C, H, W)."""
        compared = self.attention(pixelwise(template[0], search))
        return self.score(compared), torch.exp(self.box(compared))


class BranchV2(nn.Module):
    """What leads to one output of v2."""

    kernels = 1

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.pixels = PixelComparison(channels)
        self.output = _output(tower((64,) + 6 * (96,), 6 * (3,)), 96, outputs)

    def template(self, features: Tensor) -> tuple[Tensor, ...]:
        """(B, C, 8, 8) -> the kernel."""
        return (self.pixels.kernel(features),)

    def forward(self, kernels: tuple[Tensor, ...], search: Tensor) -> Tensor:
        """Kernels from `template`, and (B, C, H, W) -> (B, outputs, H, W)."""
        output: Tensor = self.output(self.pixels(kernels[0], search))
        return output


class BranchV3(nn.Module):
    """What leads to one output of v3: two comparisons side by side."""

    kernels = 2

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        self.pixels = PixelComparison(channels)
        self.reduction = linear_separable(TEMPLATE_CELLS, 2, padding=0, bias=True)
        self.depth = DepthComparison(channels)
        self.join = nn.Conv2d(TEMPLATE_CELLS + channels, 96, 1)
        self.output = _output(nn.Sequential(*(linear_separable(96, 3, padding=1) for _ in range(6))), 96, outputs)

    def template(self, features: Tensor) -> tuple[Tensor, ...]:
        """(B, C, 8, 8) -> the kernels of the two comparisons."""
        return self.pixels.kernel(features), self.depth.kernel(features[:, :, 2:6, 2:6])

    def forward(self, kernels: tuple[Tensor, ...], search: Tensor) -> Tensor:
        """Kernels from `template`, and (B, C, H, W) -> (B, outputs, H - 1, W - 1)."""
        pixels, depth = self.reduction(self.pixels(kernels[0], search)), self.depth(kernels[1], search)
        output: Tensor = self.output(self.join(torch.cat([pixels, depth], dim=1)))
        return output


class BranchedHead(nn.Module):
    """v2 and v3: each output has comparisons of its own."""

    def __init__(self, branch: type[BranchV2] | type[BranchV3], channels: int) -> None:
        super().__init__()
        self.kernels = branch.kernels
        self.score = branch(channels, CLASSES)
        self.box = branch(channels, SIDES)

    def template(self, features: Tensor) -> tuple[Tensor, ...]:
        """(B, C, 8, 8) -> the kernels of the score, then those of the box."""
        return (*self.score.template(features), *self.box.template(features))

    def forward(self, template: tuple[Tensor, ...], search: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels from `template`, and (B, C, H, W)."""
        score, box = template[: self.kernels], template[self.kernels :]
        return self.score(score, search), torch.exp(self.box(box, search))


def _output(layers: nn.Sequential, channels: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(OrderedDict[str, nn.Module](tower=layers, prediction=nn.Conv2d(channels, outputs, 1)))
