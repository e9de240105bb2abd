"""The two graphs of a network, as modules: what is exported for the runtimes, and what `TorchRuntime` runs."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from models.grids import Grid
from models.networks.build import Network
from models.networks.selection import Selection, Twofold
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
        selection = Selection(cast("Network", network).grid(search_size), spec.network.stride)
        second = spec.second_template
        self.selection = selection if second is None else Twofold(selection, second.agreement)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Features, then crop, size (B, 2), loop (B, 3): runs the search branch and chooses the best box."""
        *features, crop, size, loop = inputs
        score, boxes = cast("Network", self.network).maps(tuple(features), crop)
        best: tuple[Tensor, Tensor] = self.selection(score, boxes, size, loop)
        return best


class MapsGraph(nn.Module):
    """Template features and (B, S, S, 3) crops -> score and boxes as the network gives them, before anything is
    chosen."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Features, then crop: runs the search branch."""
        *features, crop = inputs
        return cast("Network", self.network).maps(tuple(features), crop)


class HalfNetwork(nn.Module):
    """A network that computes in half precision, and decodes in single precision: it obeys `Network` as well.

    A half number has 11 bits, which leaves a quarter of a pixel at 300 px. Layers that need more keep float32, as
    torch's autocast has it; without its cache, so that a trace holds every conversion."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def template(self, crops: Tensor) -> tuple[Tensor, ...]:
        """As the network, in half precision."""
        with torch.autocast(crops.device.type, torch.float16, cache_enabled=False):
            return self._whole().template(crops)

    def outputs(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, ...]:
        """As the network, in half precision; the results are float32."""
        with torch.autocast(crops.device.type, torch.float16, cache_enabled=False):
            return tuple(output.float() for output in self._whole().outputs(features, crops))

    def decode(self, outputs: tuple[Tensor, ...], search_size: int) -> tuple[Tensor, Tensor]:
        """As the network."""
        return self._whole().decode(outputs, search_size)

    def maps(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, Tensor]:
        """As the network, in half precision up to the outputs."""
        return self.decode(self.outputs(features, crops), crops.shape[1])

    def grid(self, search_size: int) -> Grid:
        """As the network."""
        return self._whole().grid(search_size)

    def _whole(self) -> Network:
        return cast("Network", self.network)
