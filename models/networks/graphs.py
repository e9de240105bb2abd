"""The two graphs of a network, as modules: what is exported for the runtimes, and what `TorchRuntime` runs."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from models.networks.build import Network
from models.networks.selection import Selection
from models.spec import ModelSpec


class TemplateGraph(nn.Module):
    """(B, Z, Z, 3) crops -> template features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crop: Tensor) -> tuple[Tensor, ...]:
        """Runs the template branch."""
        return cast("Network", self.network).template(crop)


class SearchGraph(nn.Module):
    """Template features, (B, S, S, 3) crops, sizes and loop constants -> best and peak2, for one size of crops."""

    def __init__(self, network: nn.Module, spec: ModelSpec, search_size: int) -> None:
        super().__init__()
        self.network = network
        self.selection = Selection(cast("Network", network).grid(search_size), spec.network.stride)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Features, then crop, size (B, 2), loop (B, 3): runs the search branch and chooses the best box."""
        *features, crop, size, loop = inputs
        score, boxes = cast("Network", self.network).maps(tuple(features), crop)
        best: tuple[Tensor, Tensor] = self.selection(score, boxes, size, loop)
        return best
