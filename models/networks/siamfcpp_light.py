"""`siamfcpp_light` and `siamfcpp_tiny`: our own small tracker networks, 0.285 and 0.046 GMACs a search frame.

| part | layers | at a 208 px search crop |
| --- | --- | --- |
| backbone | EfficientNet-Lite0, stages 1-5 (ImageNet weights) | 26 x 26 x 40 and 13 x 13 x 112 |
| neck | 1x1 from each, sum, depth-wise 3x3 + 1x1 | 26 x 26 x C |
| correlation | search map, 64 template cells pixel-wise, pooled 3x3 kernel depth-wise; 1x1 | 26 x 26 x C |
| towers | depth-wise 5x5 + 1x1, one tower for the score and one for the box | 26 x 26 x C |
| outputs | score logit (trained towards the IoU of the cell's box), distances to the four sides | 26 x 26 x 1, x 4 |

The tiny one has the same parts at a 160 px search crop: a thinned backbone, 36 template cells, maps of 20 x 20. Each
template takes correlation, towers and outputs of its own: the light one's two are counted, 0.034 GMACs each.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.grids import Grid, cell_centres
from models.networks.backbones.efficientnet_lite import LITE0, THINNED, EfficientNetLite0
from models.networks.heads.siamfcpp_light import Head, Neck
from models.spec import Architecture, ModelSpec

_DESIGNS = {Architecture.SIAMFCPP_LIGHT: (LITE0, 8), Architecture.SIAMFCPP_TINY: (THINNED, 6)}
"""Backbone, and the side of the template's middle that is compared cell by cell: the target and a little of its rim."""


class SiamFCppLight(nn.Module):
    """The network; it obeys `models.networks.build.Network`. Features are one map, 14 x 14 x C or 10 x 10 x C."""

    centres: Tensor

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        (channels,) = spec.network.channels
        self.stride = spec.network.stride
        target_side = spec.crop.template_size / (1 + 2 * spec.crop.context_amount)
        trunk, template_cells = _DESIGNS[spec.network.architecture]
        self.backbone = EfficientNetLite0(trunk)
        self.neck = Neck(channels)
        self.head = Head(channels, len(spec.network.tower), target_side / 2, template_cells)
        self.register_buffer("centres", self._centres(spec.crop.search_size), persistent=False)

    def features(self, crops: Tensor) -> Tensor:
        """(B, S, S, 3) uint8 BGR -> (B, C, S/8, S/8)."""
        neck: Tensor = self.neck(*self.backbone(crops))
        return neck

    def template(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, Z, Z, 3) uint8 BGR -> the template's map."""
        return (self.features(crops),)

    def outputs(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, ...]:
        """Template features and (B, S, S, 3) crops -> score logits (B, H, W), distances l, t, r, b (B, 4, H, W).

        Of T templates for each crop, (B, T, C, h, w): (B, T, H, W) and (B, T, 4, H, W). The backbone runs once."""
        (templates,), search = features, self.features(crops)
        if templates.dim() == 4:
            logits, distances = self.head(templates, search)
            return logits, distances
        each = [self.head(template, search) for template in templates.unbind(1)]
        return tuple(torch.stack(outputs, 1) for outputs in zip(*each, strict=True))

    def decode(self, outputs: tuple[Tensor, ...], search_size: int) -> tuple[Tensor, Tensor]:
        """Raw outputs -> score (B, N) and boxes (B, 4, N), cell by cell in reading order; of T templates (B, T, N) and
        (B, T, 4, N)."""
        logits, distances = outputs
        return logits.sigmoid().flatten(-2), self.boxes(distances).flatten(-2)

    def maps(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, Tensor]:
        """Template features and search crops -> score and boxes."""
        return self.decode(self.outputs(features, crops), crops.shape[1])

    def boxes(self, distances: Tensor) -> Tensor:
        """Distances l, t, r, b of every cell -> its box cx, cy, w, h in crop pixels, (..., 4, H, W)."""
        left, top, right, bottom = distances.unbind(-3)
        x, y = self.centres
        return torch.stack([x + (right - left) / 2, y + (bottom - top) / 2, left + right, top + bottom], dim=-3)

    def grid(self, search_size: int) -> Grid:
        """One candidate in the middle of each cell."""
        return cell_centres(search_size, search_size // self.stride, self.stride)

    def _centres(self, search_size: int) -> Tensor:
        """(2, H, W): x and y of every cell's centre in crop pixels."""
        side = search_size // self.stride
        return torch.from_numpy(self.grid(search_size).cells.copy()).reshape(2, side, side)
