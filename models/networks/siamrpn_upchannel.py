"""SiamRPN as published in 2018 (CVPR 2018): the template makes the weights of a convolution over the search map.

`channels` 256 (DaSiamRPN's models for VOT and OTB, pysot's UPChannelRPN, SiamRPN-TF) or 512 (DaSiamRPN's big model,
which is also huanglianghua/siamrpn-pytorch):

| part | layers | map side for crops of 127 / 255 / 271 / 287 px |
| --- | --- | --- |
| backbone | AlexNet (backbones/alexnet.py), all its channels times channels / 256 | 6 / 22 / 24 / 26 |
| head | up-channel region proposal network (heads/upchannel.py) | kernel 4, outputs 17 / 19 / 21 x 5 anchors |

The crops are BGR. Two of the code bases feed RGB; importing their weights turns the first convolution's channels round.
"""

from __future__ import annotations

from torch import nn

from models.networks.backbones.alexnet import AlexNet
from models.networks.heads.upchannel import UpChannelRpn
from models.networks.siamrpn import OneLevel, SiamRpn
from models.spec import Family, ModelSpec

_USUAL_CHANNELS = 256


def siamrpn_upchannel(spec: ModelSpec) -> nn.Module:
    """SiamRPN with the up-channel head."""
    (channels,) = spec.network.channels
    # SiamRPN-TF, configs/config.py. TensorFlow 1.x itself would not go below 1.001e-5, later versions do.
    epsilon = 1e-6 if spec.family is Family.SIAMRPN_TF else 1e-5
    return SiamRpn(spec, AlexNet(channels / _USUAL_CHANNELS, epsilon), OneLevel(), UpChannelRpn(channels))
