"""From a ModelSpec to its network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from models.networks.siamfcpp_light import SiamFCppLight
from models.spec import Architecture, ModelSpec


class Network(Protocol):
    """What training and export ask of a network."""

    def template(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, Z, Z, 3) uint8 BGR -> template features, batch first."""

    def maps(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, Tensor]:
        """-> score logits (B, H, W), boxes (B, 4, H, W) as cx, cy, w, h in crop pixels."""


BUILDERS: dict[Architecture, Callable[[ModelSpec], nn.Module]] = {
    Architecture.SIAMFCPP_LIGHT: SiamFCppLight,
}


def build(spec: ModelSpec) -> nn.Module:
    """The network of `spec` with fresh weights; it obeys `Network`."""
    return BUILDERS[spec.network.architecture](spec)
