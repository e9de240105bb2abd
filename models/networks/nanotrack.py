"""NanoTrack v1, v2, v3: MobileNetV3-Small at stride 16, pixel-wise correlation, no anchors.

Facts: HonglinChu/SiamTrackers, NanoTrack/nanotrack/models/model_builder.py. C = 48 (v1, v2) or 96 (v3) channels.

| part | v1 | v2 | v3 | map side for a 255 px search crop |
| --- | --- | --- | --- | --- |
| backbone | blocks 1-8 | blocks 1-8 | blocks 1-9 | 16 |
| before the correlation | | 1x1 of C on both maps | 1x1 of C on both maps | 16 |
| correlation: 64 template cells pixel-wise, attention | one | one for each output | one for each output | 16 |
| reduction | | | depth-wise 2x2 without padding, 1x1 of 64 | 15 (v3) |
| depth-wise correlation with the template's middle 4 x 4 cells, 1x1 of C on both maps | | | one for each output | 15 |
| join of both correlations | | | 1x1 of 96 | 15 |
| tower of the score: depth-wise + 1x1 each | 5x5, 5x5, 3x3 of 128 | six 3x3 of 96 | six 3x3 of 96 | 16 or 15 |
| tower of the box: depth-wise + 1x1 each | 3x3, 3x3, 5x5, 5x5 of 96 | six 3x3 of 96 | six 3x3 of 96 | 16 or 15 |
| outputs: 1x1 | 2 logits, 4 exponents | 2 logits, 4 exponents | 2 logits, 4 exponents | 16 or 15 |

Norms: after each 1x1 but the last; in v3 after each depth-wise convolution as well. Activations: ReLU6, after the 1x1
in the towers of v1 and v2, and after the depth-wise convolution in v3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor, nn

from models.grids import Grid, points
from models.networks.backbones.mobilenetv3 import STRIDE, MobileNetV3Small
from models.networks.heads.nanotrack import BranchedHead, BranchV2, BranchV3, HeadV1
from models.spec import Architecture, ModelSpec, SpecInvalid


class Version(NamedTuple):
    """What differs between the three; `trimmed`: by how many cells the head's map is smaller than the backbone's."""

    blocks: int
    head: Callable[[int], HeadV1 | BranchedHead]
    trimmed: int


VERSIONS: Mapping[Architecture, Version] = MappingProxyType({
    Architecture.NANOTRACK_V1: Version(8, lambda channels: HeadV1(), 0),
    Architecture.NANOTRACK_V2: Version(8, lambda channels: BranchedHead(BranchV2, channels), 0),
    Architecture.NANOTRACK_V3: Version(9, lambda channels: BranchedHead(BranchV3, channels), 1),
})  # fmt: skip


class NanoTrack(nn.Module):
    """The network; it obeys `models.networks.build.Network`.

    Features: v1 one map of 8 x 8 x C; v2 two of them (score, box); v3 four, the second and the last one 4 x 4 x C."""

    def __init__(self, spec: ModelSpec) -> None:
        """Raises SpecInvalid where the spec's channels or stride are not those of the architecture."""
        super().__init__()
        blocks, head, self.trimmed = VERSIONS[spec.network.architecture]
        self.backbone = MobileNetV3Small(blocks)
        channels = self.backbone.channels
        if (spec.network.channels, spec.network.stride) != ((channels,), STRIDE):
            raise SpecInvalid(
                f"{spec.network.architecture} has channels ({channels},), stride {STRIDE}: {spec.network}"
            )
        self.head = head(channels)
        for size in spec.search_sizes:
            self.register_buffer(f"cells_{size}", torch.from_numpy(self.grid(size).cells.copy()), persistent=False)

    def features(self, crops: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 BGR -> (B, C, S/16, S/16), rounded up."""
        maps: Tensor = self.backbone(crops.permute(0, 3, 1, 2).float())
        return maps

    def template(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, Z, Z, 3) uint8 BGR -> what the head compares with."""
        return self.head.template(self.features(crops))

    def outputs(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, ...]:
        """Logits (B, 2, s, s) of background and target; distances l, t, r, b (B, 4, s, s)."""
        outputs: tuple[Tensor, ...] = self.head(features, self.features(crops))
        return outputs

    def decode(self, outputs: tuple[Tensor, ...], search_size: int) -> tuple[Tensor, Tensor]:
        """The target's share of the softmax; each cell's point and its distances -> the box.

        NanoTrack, tracker/nano_tracker.py: corners are x - l, y - t, x + r, y + b."""
        logits, distances = outputs
        score = logits.softmax(1)[:, 1].flatten(1)
        left, top, right, bottom = distances.flatten(2).unbind(1)
        x, y = self.get_buffer(f"cells_{search_size}")
        boxes = torch.stack([x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom], dim=1)
        return score, boxes

    def maps(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, Tensor]:
        """Template features and (B, S, S, 3) uint8 crops -> score (B, N), boxes (B, 4, N)."""
        return self.decode(self.outputs(features, crops), crops.shape[1])

    def grid(self, search_size: int) -> Grid:
        """A point for each cell; maps of an even side (v1, v2) reach a stride farther to the left and the top."""
        return points(search_size, math.ceil(search_size / STRIDE) - self.trimmed, STRIDE)
