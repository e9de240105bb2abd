"""From the raw maps of a region proposal network to scores and boxes."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from models.anchors import ANCHOR_RULES
from models.grids import ANCHOR_RATIOS, Grid
from models.spec import ModelSpec


class AnchorDecoder(nn.Module):
    """Knows the anchors of every search crop that a tracker may cut.

    Raw maps are in pysot's channel order: logits (B, 2 A, H, W), channel k A + a, k = 1 for the target; deltas
    (B, 4 A, H, W), channel d A + a, d = dx, dy, dw, dh."""

    def __init__(self, spec: ModelSpec, map_sizes: dict[int, int]) -> None:
        """map_sizes: side of a search crop -> side of its score map."""
        super().__init__()
        self.rule = ANCHOR_RULES[spec.family]
        self.stride = spec.network.stride
        self.map_sizes = map_sizes
        for search_size, map_size in map_sizes.items():
            anchors = torch.from_numpy(self.rule.anchors(search_size, map_size, self.stride).T.copy())
            self.register_buffer(_buffer(search_size), anchors, persistent=False)

    def forward(self, outputs: tuple[Tensor, ...], search_size: int) -> tuple[Tensor, Tensor]:
        """Logits and deltas -> score (B, N) in 0..1, boxes (B, 4, N) cx, cy, w, h in search crop pixels."""
        search_size = int(search_size)  # a trace tells sides as tensors
        logits, deltas = (
            self.candidates(output, parts, search_size) for output, parts in zip(outputs, (2, 4), strict=True)
        )
        return torch.softmax(logits, dim=1)[:, 1], self.decoded(deltas, search_size)

    def anchors(self, search_size: int) -> Tensor:
        """(4, N) cx, cy, w, h in search crop pixels."""
        return cast("Tensor", getattr(self, _buffer(search_size)))

    def decoded(self, deltas: Tensor, search_size: int) -> Tensor:
        """dx, dy, dw, dh (B, 4, N) -> boxes (B, 4, N) cx, cy, w, h in search crop pixels."""
        return decode_anchors(deltas, self.anchors(search_size), self.rule.size_limit)

    def grid(self, search_size: int) -> Grid:
        """The N candidates of a search crop of that side."""
        return self.rule.grid(search_size, self.map_sizes[search_size], self.stride)

    def candidates(self, output: Tensor, parts: int, search_size: int) -> Tensor:
        """Of a search crop of that side: (B, parts A, H, W) -> (B, parts, N), in the order of `anchors`."""
        side = self.map_sizes[search_size]
        candidates = output.reshape(-1, parts, len(ANCHOR_RATIOS), side, side)
        if self.rule.by_cell:
            candidates = candidates.permute(0, 1, 3, 4, 2)
        return candidates.flatten(2)


class AnchorNetwork(nn.Module):
    """A network whose raw outputs are logits and deltas of anchors: from them on, all of them do the same."""

    decoder: AnchorDecoder

    def outputs(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, ...]:
        """Kernels and search crops -> logits (B, 2 A, H, W) and deltas (B, 4 A, H, W)."""
        raise NotImplementedError

    def decode(self, outputs: tuple[Tensor, ...], search_size: int) -> tuple[Tensor, Tensor]:
        """Logits and deltas -> score (B, N) in 0..1, boxes (B, 4, N) cx, cy, w, h in search crop pixels."""
        decoded: tuple[Tensor, Tensor] = self.decoder(outputs, search_size)
        return decoded

    def maps(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, Tensor]:
        """Kernels and search crops -> score and boxes."""
        return self.decode(self.outputs(features, crops), crops.shape[1])

    def grid(self, search_size: int) -> Grid:
        """The N candidates of a search crop of that side."""
        return self.decoder.grid(search_size)


def decode_anchors(deltas: Tensor, anchors: Tensor, size_limit: float | None = None) -> Tensor:
    """dx, dy, dw, dh (B, 4, N) and anchors (4, N) cx, cy, w, h -> boxes (B, 4, N) cx, cy, w, h.

    Faster R-CNN (NeurIPS 2015), equation 2: centre = anchor's + d * its size, size = its size * exp(d); |dw| and |dh|
    are cut to `size_limit` where there is one."""
    moves, stretches = deltas[:, :2], deltas[:, 2:]
    if size_limit is not None:
        stretches = stretches.clamp(-size_limit, size_limit)
    centres, sizes = anchors[:2], anchors[2:]
    return torch.cat([moves * sizes + centres, stretches.exp() * sizes], dim=1)


def _buffer(search_size: int) -> str:
    return f"anchors_{search_size}"
