"""Two ways to compare a template map with a search map; plain products and sums, so that any runtime batches them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def pixelwise(template: Tensor, search: Tensor) -> Tensor:
    """Every template cell as a 1x1 filter: (B, C, h, w), (B, C, H, W) -> (B, h * w, H, W).

    LightTrack (CVPR 2021), section 3.3; divided by sqrt(C) so that its scale doesn't grow with the width."""
    channels, height, width = search.shape[1:]
    cells = template.flatten(2).transpose(1, 2)
    products: Tensor = cells @ search.flatten(2)
    return products.reshape(search.shape[0], -1, height, width) / math.sqrt(channels)


def depthwise(kernel: Tensor, search: Tensor, dilation: int) -> Tensor:
    """Channel by channel with a (B, C, k, k) kernel, zero-padded to the same size: (B, C, H, W) -> (B, C, H, W).

    SiamRPN++ (CVPR 2019), section 3.4. Written as k * k shifted products: a grouped convolution would need a number of
    groups that depends on the batch, which exported graphs can't have."""
    side = kernel.shape[-1]
    height, width = search.shape[2:]
    margin = dilation * (side // 2)
    padded = functional.pad(search, (margin, margin, margin, margin))
    shifted = [
        padded[:, :, row * dilation : row * dilation + height, column * dilation : column * dilation + width]
        * kernel[:, :, row, column, None, None]
        for row in range(side)
        for column in range(side)
    ]
    return torch.stack(shifted).mean(0)
