"""TinyConv, the smallest backbone of SiamFC++ (video_analyst, backbone_impl/tinyconv.py): no padding, total stride 8.

| layer | kernel | stride | channels | followed by | side of the map for crops of 127 / 303 px |
| --- | --- | --- | --- | --- | --- |
| conv1 | 3 | 2 | 3 -> 32 | norm, ReLU | 63 / 151 |
| max-pool, rounding up | 3 | 2 | | | 31 / 75 |
| conv2a | 1 | 1 | 32 -> 64 | norm, ReLU | 31 / 75 |
| conv2b, depth-wise | 7 | 2 | 64 | norm, ReLU | 13 / 35 |
| conv3a | 3 | 1 | 64 -> 64 | norm, ReLU | 11 / 33 |
| conv3b | 1 | 1 | 64 -> 64 | norm | 11 / 33 |
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from models.networks.layers import convolution


class TinyConv(nn.Module):
    """(B, 3, S, S) BGR in 0..255, neither scaled nor shifted -> (B, 64, s, s)."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = convolution(3, 32, 3, stride=2, relu=True)
        self.conv2a = convolution(32, 64, 1, relu=True)
        self.conv2b = convolution(64, 64, 7, stride=2, groups=64, relu=True)
        self.conv3a = convolution(64, 64, 3, relu=True)
        self.conv3b = convolution(64, 64, 1)

    def forward(self, crops: Tensor) -> Tensor:
        """The whole table above."""
        maps = functional.max_pool2d(self.conv1(crops), 3, stride=2, ceil_mode=True)
        last: Tensor = self.conv3b(self.conv3a(self.conv2b(self.conv2a(maps))))
        return last
