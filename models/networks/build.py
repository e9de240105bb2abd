"""From a ModelSpec to its network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from torch import Tensor, nn

from models.grids import Grid
from models.networks.nanotrack import NanoTrack
from models.networks.siamfcpp import SiamFCpp
from models.networks.siamfcpp_light import SiamFCppLight
from models.networks.siamrpn import siamrpn_alexnet
from models.networks.siamrpn_upchannel import siamrpn_upchannel
from models.networks.siamrpnpp import siamrpnpp_mobilenetv2, siamrpnpp_resnet50
from models.networks.siamrpnpp_branches import SiamRpnBranches
from models.spec import Architecture, ModelSpec


class Network(Protocol):
    """What export and the golden tests ask of a network.

    Crops are (B, S, S, 3), BGR, in the numbers of the family's crops (uint8, or float32 in 0..255)."""

    def template(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Template crops -> template features, batch first."""

    def outputs(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, ...]:
        """The head's raw outputs for search crops, in the published shapes."""

    def decode(self, outputs: tuple[Tensor, ...], search_size: int) -> tuple[Tensor, Tensor]:
        """Raw outputs -> score (B, N) in 0..1, boxes (B, 4, N) as cx, cy, w, h in search crop pixels."""

    def maps(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, Tensor]:
        """Template features and search crops -> score and boxes, as `decode` gives them."""

    def grid(self, search_size: int) -> Grid:
        """The N candidates of a search crop of that side, in the same order."""


BUILDERS: dict[Architecture, Callable[[ModelSpec], nn.Module]] = {
    Architecture.SIAMFCPP_LIGHT: SiamFCppLight,
    Architecture.SIAMFCPP_TINY: SiamFCppLight,
    Architecture.SIAMRPN_ALEXNET: siamrpn_alexnet,
    Architecture.SIAMRPN_UPCHANNEL: siamrpn_upchannel,
    Architecture.SIAMRPNPP_RESNET50: siamrpnpp_resnet50,
    Architecture.SIAMRPNPP_MOBILENETV2: siamrpnpp_mobilenetv2,
    Architecture.SIAMRPNPP_RESNET50_BRANCHES: SiamRpnBranches,
    Architecture.SIAMFCPP_ALEXNET: SiamFCpp,
    Architecture.SIAMFCPP_GOOGLENET: SiamFCpp,
    Architecture.SIAMFCPP_SHUFFLENETV2_X0_5: SiamFCpp,
    Architecture.SIAMFCPP_SHUFFLENETV2_X1_0: SiamFCpp,
    Architecture.SIAMFCPP_TINYCONV: SiamFCpp,
    Architecture.NANOTRACK_V1: NanoTrack,
    Architecture.NANOTRACK_V2: NanoTrack,
    Architecture.NANOTRACK_V3: NanoTrack,
}


def build(spec: ModelSpec) -> nn.Module:
    """The network of `spec` with fresh weights; it obeys `Network`."""
    return BUILDERS[spec.network.architecture](spec)
