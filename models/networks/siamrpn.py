"""SiamRPN with depth-wise correlation, and what all of its kin share: backbone, neck, head, decoder.

`siamrpn_alexnet` (pysot, siamrpn_alex_dwxcorr):

| part | layers | map side for crops of 127 / 287 px |
| --- | --- | --- |
| backbone | AlexNet (backbones/alexnet.py), 256 channels | 6 / 26 |
| neck | none | |
| head | depth-wise region proposal network (heads/rpn.py) | kernel 4, scores and boxes 21 x 21 x 5 anchors |
"""

from __future__ import annotations

from torch import Tensor, nn

from models.networks.backbones.alexnet import AlexNet
from models.networks.heads.anchors import AnchorDecoder, AnchorNetwork
from models.networks.heads.rpn import DepthwiseRpn
from models.networks.heads.upchannel import UpChannelRpn
from models.spec import ModelSpec


class SiamRpn(AnchorNetwork):
    """The network: template and search crops in, scores and boxes of all anchors out."""

    def __init__(
        self, spec: ModelSpec, backbone: nn.Module, neck: nn.Module, head: DepthwiseRpn | UpChannelRpn, margin: int = 0
    ) -> None:
        """margin: cells that the template map loses on each side after the neck."""
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.margin = margin
        self.head = head
        self.decoder = AnchorDecoder(spec, {size: map_size(spec, size, margin) for size in spec.search_sizes})

    def levels(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, S, S, 3) BGR in 0..255, neither scaled nor shifted -> one (B, C, s, s) map for each level."""
        # Contiguous: in another memory layout convolutions add up in another order than the published ones.
        pixels = crops.permute(0, 3, 1, 2).contiguous().float()
        maps: tuple[Tensor, ...] = self.neck(self.backbone(pixels))
        return maps

    def template_levels(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Template crops -> the middle of each level's map."""
        inner = slice(self.margin, -self.margin or None)
        return tuple(level[:, :, inner, inner] for level in self.levels(crops))

    def template(self, crops: Tensor) -> tuple[Tensor, ...]:
        """Template crops -> correlation kernels, two for each level."""
        return self.head.template(self.template_levels(crops))

    def outputs(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, ...]:
        """Kernels and search crops -> logits (B, 10, s, s) and deltas (B, 20, s, s)."""
        raw: tuple[Tensor, Tensor] = self.head(features, self.levels(crops))
        return raw


class OneLevel(nn.Module):
    """The neck of a tracker that has none."""

    def forward(self, maps: Tensor) -> tuple[Tensor, ...]:
        """(B, C, s, s) -> the same map as the only level."""
        return (maps,)


def siamrpn_alexnet(spec: ModelSpec) -> nn.Module:
    """SiamRPN on AlexNet."""
    return SiamRpn(spec, AlexNet(), OneLevel(), DepthwiseRpn(spec.network.channels, spec.network.weighted))


def map_size(spec: ModelSpec, search_size: int, margin: int) -> int:
    """pysot, tracker/siamrpn_tracker.py; BASE_SIZE there is what the template map loses in all."""
    return (search_size - spec.crop.template_size) // spec.network.stride + 1 + 2 * margin
