"""`siamfcpp_light`: our own small tracker network, 0.291 GMACs a search frame.

| part | layers | at a 224 px search crop |
| --- | --- | --- |
| backbone | EfficientNet-Lite0, stages 1-5 (ImageNet weights) | 28 x 28 x 40 and 14 x 14 x 112 |
| neck | 1x1 from each, sum, depth-wise 3x3 + 1x1 | 28 x 28 x C |
| correlation | search map, 64 template cells pixel-wise, pooled 3x3 kernel depth-wise; 1x1 | 28 x 28 x C |
| towers | depth-wise 5x5 + 1x1, one tower for the score and one for the box | 28 x 28 x C |
| outputs | score logit (trained towards the IoU of the cell's box), distances to the four sides | 28 x 28 x 1, x 4 |
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.networks.backbones.efficientnet_lite import EfficientNetLite0
from models.networks.heads.siamfcpp_light import Head, Neck
from models.spec import ModelSpec


class SiamFCppLight(nn.Module):
    """The network: template and search crops in, maps out."""

    grid: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        target_side = spec.crop.template_size / (1 + 2 * spec.crop.context_amount)
        self.backbone = EfficientNetLite0()
        self.neck = Neck(spec.network.channels)
        self.head = Head(spec.network.channels, spec.network.tower_layers, half_target=target_side / 2)
        self.register_buffer("grid", cell_centres(spec.map_size, spec.network.stride), persistent=False)

    def features(self, crops: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 BGR -> (B, C, S/8, S/8)."""
        neck: Tensor = self.neck(*self.backbone(crops))
        return neck

    def template(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, Z, Z, 3) uint8 BGR -> the template features that `maps` wants."""
        return (self.features(crops),)

    def maps(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, Tensor]:
        """Template features and (B, S, S, 3) crops -> score logits (B, H, W), boxes (B, 4, H, W) cx, cy, w, h."""
        return self.decode(*self.head(features[0], self.features(crops)))

    def decode(self, logits: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
        """Distances l, t, r, b of every cell -> boxes cx, cy, w, h in crop pixels; the logits pass through."""
        left, top, right, bottom = distances.unbind(1)
        x, y = self.grid
        boxes = torch.stack([x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom], dim=1)
        return logits, boxes


def cell_centres(map_size: int, stride: int) -> Tensor:
    """(2, H, W): x and y of every cell's centre in crop pixels."""
    line = (torch.arange(map_size) + 0.5) * stride
    y, x = torch.meshgrid(line, line, indexing="ij")
    return torch.stack([x, y])
