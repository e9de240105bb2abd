"""SiamRPN++: SiamRPN on a deep backbone, with three levels of features (CVPR 2019; pysot, siamrpn_*_l234_dwxcorr).

| part | layers | map side for crops of 127 / 255 / 831 px |
| --- | --- | --- |
| backbone | ResNet-50 (backbones/resnet50.py) or MobileNetV2 (backbones/mobilenetv2.py), maps of three stages | 15 / 31 / 103 |
| neck | for each level 1x1 to the spec's channels, norm; of the template's map the middle | 7 / 31 / 103 |
| head | depth-wise region proposal network on each level (heads/rpn.py), joined | kernel 5, outputs 25 or 97 x 5 anchors |
"""  # noqa: E501

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.networks.backbones.mobilenetv2 import MobileNetV2
from models.networks.backbones.resnet50 import ResNet50
from models.networks.heads.rpn import DepthwiseRpn
from models.networks.layers import normed
from models.networks.siamrpn import SiamRpn
from models.spec import ModelSpec

TEMPLATE_MARGIN = 4
"""Cells: 7 of the template map's 15 are left, the target itself (SiamRPN++, section 3.2)."""


class Neck(nn.Module):
    """Brings each level to its own number of channels; pysot, models/neck/neck.py."""

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList([normed(*channels, 1) for channels in zip(inputs, outputs, strict=True)])

    def forward(self, maps: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Maps of the backbone -> (B, C, s, s), one for each level."""
        return tuple(level(each) for level, each in zip(self.levels, maps, strict=True))


def siamrpnpp_resnet50(spec: ModelSpec) -> nn.Module:
    """SiamRPN++ on ResNet-50: pysot's and mmtracking's."""
    return _siamrpnpp(spec, ResNet50(), ResNet50.channels)


def siamrpnpp_mobilenetv2(spec: ModelSpec) -> nn.Module:
    """SiamRPN++ on MobileNetV2."""
    return _siamrpnpp(spec, MobileNetV2(), MobileNetV2.channels)


def _siamrpnpp(spec: ModelSpec, backbone: nn.Module, channels: Sequence[int]) -> nn.Module:
    neck = Neck(channels, spec.network.channels)
    return SiamRpn(spec, backbone, neck, DepthwiseRpn(spec.network.channels, spec.network.weighted), TEMPLATE_MARGIN)
