"""AlexNet as trackers use it: batch norm everywhere, stride 2 in conv1, no padding, no groups, total stride 8.

One arithmetic for SiamFC++ (video_analyst, backbone_impl/alexnet_bn.py), SiamRPN (pysot, backbone/alexnet.py) and
SiamRPN-TF: they differ in the order of pooling and ReLU, which commute, and in how pools round, which comes to the same
for the odd crop sizes in use.

| layer | kernel | stride | channels | followed by | side of the map for crops of 127 / 303 px |
| --- | --- | --- | --- | --- | --- |
| conv1 | 11 | 2 | 3 -> 96 | norm, ReLU | 59 / 147 |
| max-pool | 3 | 2 | | | 29 / 73 |
| conv2 | 5 | 1 | 96 -> 256 | norm, ReLU | 25 / 69 |
| max-pool | 3 | 2 | | | 12 / 34 |
| conv3 | 3 | 1 | 256 -> 384 | norm, ReLU | 10 / 32 |
| conv4 | 3 | 1 | 384 -> 384 | norm, ReLU | 8 / 30 |
| conv5 | 3 | 1 | 384 -> 256 | norm | 6 / 28 |

`width` multiplies all channels but the three of the input.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.networks.layers import convolution


class AlexNet(nn.Module):
    """(B, 3, S, S) BGR in 0..255, neither scaled nor shifted -> (B, 256 * width, s, s)."""

    def __init__(self, width: float = 1.0, epsilon: float = 1e-5) -> None:
        super().__init__()
        first, second, third, fourth, last = (round(channels * width) for channels in (96, 256, 384, 384, 256))
        self.conv1 = convolution(3, first, 11, stride=2, epsilon=epsilon, relu=True)
        self.conv2 = convolution(first, second, 5, epsilon=epsilon, relu=True)
        self.conv3 = convolution(second, third, 3, epsilon=epsilon, relu=True)
        self.conv4 = convolution(third, fourth, 3, epsilon=epsilon, relu=True)
        self.conv5 = convolution(fourth, last, 3, epsilon=epsilon)

    def forward(self, crops: Tensor) -> Tensor:
        """The whole table above."""
        maps = _pooled(self.conv1(crops))
        maps = _pooled(self.conv2(maps))
        last: Tensor = self.conv5(self.conv4(self.conv3(maps)))
        return last


def _pooled(maps: Tensor) -> Tensor:
    return functional.max_pool2d(maps, 3, stride=2, ceil_mode=True)
