"""SiamFC++ (AAAI 2020; video_analyst, siamese_track.py and track_head.py), with any of its backbones.

C is the width of backbone, neck and head (256; TinyConv 64). Nothing behind the backbone is padded.

| part | layers | channels | side of the map for crops of 127 / 303 px |
| --- | --- | --- | --- |
| backbone: AlexNet, GoogLeNet, ShuffleNetV2, TinyConv | tables of their own | 3 -> C | 6, 5, 8, 11 / 28, 27, 30, 33 |
| neck: template_score, template_box | 3x3, norm; each from the template's map | C -> C | 4, 3, 6, 9 |
| neck: search_score, search_box | 3x3, norm; each from the search map | C -> C | / 26, 25, 28, 31 |
| correlation | depth-wise: template_score on search_score, template_box on search_box | C | / 23 |
| head: score_tower | three times 3x3, ReLU, the third with norm; GoogLeNet: two without | C -> C | / 17; 19 |
| head: score, centreness | 1x1, norm; each from the score tower | C -> 1 | / 17; 19 |
| head: box_tower | as score_tower | C -> C | / 17; 19 |
| head: box | 1x1, norm | C -> 4 | / 17; 19 |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from models import grids
from models.grids import Grid
from models.networks.backbones.alexnet import AlexNet
from models.networks.backbones.googlenet import GoogLeNet
from models.networks.backbones.shufflenetv2 import ShuffleNetV2
from models.networks.backbones.tinyconv import TinyConv
from models.networks.correlation import depthwise_valid
from models.networks.layers import convolution
from models.spec import Architecture, ModelSpec

BACKBONES: Mapping[Architecture, Callable[[], nn.Module]] = MappingProxyType({
    Architecture.SIAMFCPP_ALEXNET: AlexNet,
    Architecture.SIAMFCPP_GOOGLENET: GoogLeNet,
    Architecture.SIAMFCPP_SHUFFLENETV2_X0_5: lambda: ShuffleNetV2(48),
    Architecture.SIAMFCPP_SHUFFLENETV2_X1_0: lambda: ShuffleNetV2(116),
    Architecture.SIAMFCPP_TINYCONV: TinyConv,
})  # fmt: skip


class Neck(nn.Module):
    """Adjusts the backbone's maps to the comparison: one convolution for each of template and search, score and box."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.template_score = convolution(channels, channels, 3)
        self.template_box = convolution(channels, channels, 3)
        self.search_score = convolution(channels, channels, 3)
        self.search_box = convolution(channels, channels, 3)


class Head(nn.Module):
    """Says for every cell: how likely it is the target, how central it lies, and how far the box's sides are."""

    def __init__(self, channels: int, tower: tuple[bool, ...], stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.score_tower = nn.Sequential(*(convolution(channels, channels, 3, norm=norm, relu=True) for norm in tower))
        self.box_tower = nn.Sequential(*(convolution(channels, channels, 3, norm=norm, relu=True) for norm in tower))
        self.score = convolution(channels, 1, 1)
        self.centreness = convolution(channels, 1, 1)
        self.box = convolution(channels, 4, 1)
        self.scale = nn.Parameter(torch.ones(()))
        self.shift = nn.Parameter(torch.zeros(()))

    def scores(self, compared: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> logits of score and centreness, (B, 1, S, S) each."""
        tower = self.score_tower(compared)
        return self.score(tower), self.centreness(tower)

    def exponents(self, compared: Tensor) -> Tensor:
        """(B, C, H, W) -> what `distances` takes, (B, 4, S, S)."""
        exponents: Tensor = self.box(self.box_tower(compared))
        return exponents

    def distances(self, exponents: Tensor) -> Tensor:
        """(B, 4, S, S) -> distances of each cell to its box's left, top, right and bottom in search crop pixels."""
        return torch.exp(self.scale * exponents + self.shift) * self.stride


class SiamFCpp(nn.Module):
    """The network: template and search crops in, maps out.

    Where the spec has a memory, the score kernels that `outputs` and `maps` take are those of L templates, stacked:
    (B, L, C, h, w); the box kernel stays that of the first template. The backbone runs once for all of them."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        (channels,) = spec.network.channels
        self.spec = spec
        self.backbone = BACKBONES[spec.network.architecture]()
        self.neck = Neck(channels)
        self.head = Head(channels, spec.network.tower, spec.network.stride)
        for size in spec.search_sizes:
            self.register_buffer(f"cells_{size}", torch.from_numpy(self.grid(size).cells.copy()), persistent=False)

    def template(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, Z, Z, 3) uint8 BGR -> score kernel and box kernel, (B, C, h, w) each."""
        maps = self._features(crops)
        return self.neck.template_score(maps), self.neck.template_box(maps)

    def outputs(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, ...]:
        """Kernels and (B, S, S, 3) crops -> logits of score and centreness (B, L, s, s), exponents (B, 4, s, s).

        L is the number of templates remembered, 1 without a memory."""
        for_score, for_box = self.compared(features, crops)
        logits, centreness = self.head.scores(for_score)
        if self.spec.memory is not None:
            shape = (-1, self.spec.memory.length, *logits.shape[2:])
            logits, centreness = logits.reshape(shape), centreness.reshape(shape)
        return logits, centreness, self.head.exponents(for_box)

    def compared(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels and (B, S, S, 3) crops -> correlations for the score (B * L, C, H, W) and the box (B, C, H, W)."""
        score_kernel, box_kernel = features
        maps = self._features(crops)
        for_score, for_box = self.neck.search_score(maps), self.neck.search_box(maps)
        if self.spec.memory is not None:
            score_kernel = score_kernel.flatten(0, 1)
            for_score = for_score.unsqueeze(1).expand(-1, self.spec.memory.length, -1, -1, -1).flatten(0, 1)
        return depthwise_valid(score_kernel, for_score), depthwise_valid(box_kernel, for_box)

    def decode(self, outputs: tuple[Tensor, ...], search_size: int) -> tuple[Tensor, Tensor]:
        """`outputs` of crops of that side -> score (B, N) in 0..1 and boxes (B, 4, N) cx, cy, w, h in crop pixels.

        Widths and heights count pixels: the box between the columns 3 and 5 is 3 wide."""
        logits, centreness, exponents = outputs
        scores = (logits.sigmoid() * centreness.sigmoid()).flatten(2)
        score = scores[:, 0]
        if self.spec.memory is not None:
            share = self.spec.memory.share
            score = (1 - share) * score + share * scores[:, 1:].mean(1)
        left, top, right, bottom = self.head.distances(exponents).flatten(2).unbind(1)
        x, y = self.get_buffer(f"cells_{search_size}").unbind()
        boxes = [x + (right - left) / 2, y + (bottom - top) / 2, left + right + 1, top + bottom + 1]
        return score, torch.stack(boxes, dim=1)

    def maps(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels and (B, S, S, 3) crops -> score and boxes, as `decode` gives them."""
        return self.decode(self.outputs(features, crops), crops.shape[1])

    def grid(self, search_size: int) -> Grid:
        """One candidate for each cell, row by row."""
        stride = self.spec.network.stride
        compared_side = (search_size - self.spec.crop.template_size) // stride + 1
        return grids.points(search_size, compared_side - 2 * len(self.spec.network.tower), stride)

    def _features(self, crops: Tensor) -> Tensor:
        maps: Tensor = self.backbone(crops.permute(0, 3, 1, 2).contiguous().float())
        return maps
