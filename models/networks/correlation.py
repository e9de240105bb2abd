"""Two ways to compare a template map with a search map; plain products and sums, so that any runtime batches them."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def pixelwise(template: Tensor, search: Tensor) -> Tensor:
    """Every template cell as a 1x1 filter: (B, C, h, w), (B, C, H, W) -> (B, h * w, H, W).

    LightTrack (CVPR 2021), section 3.3."""
    height, width = search.shape[2:]
    cells = template.flatten(2).transpose(1, 2)
    products: Tensor = cells @ search.flatten(2)
    return products.reshape(search.shape[0], -1, height, width)


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


def depthwise_valid(kernel: Tensor, search: Tensor, padding: int = 0) -> Tensor:
    """Channel by channel, unflipped, where the kernel fits whole: (B, C, h, w), (B, C, H, W) -> (B, C, H', W').

    Sample i is compared with kernel i; H' = H + 2 padding - h + 1, likewise W'; `padding` zeros on every side.
    SiamRPN++ (CVPR 2019), section 3.4; pysot, models/head/rpn.py and core/xcorr.py. Shifted products for the reason
    given at `depthwise`, summed up one by one: a stack would take h * w times the memory."""
    if padding:
        search = functional.pad(search, (padding, padding, padding, padding))
    rows, columns = kernel.shape[-2:]
    height, width = search.shape[-2] - rows + 1, search.shape[-1] - columns + 1
    total = search[:, :, :height, :width] * kernel[:, :, :1, :1]
    for shift in range(1, rows * columns):
        row, column = divmod(shift, columns)
        cells = search[:, :, row : row + height, column : column + width]
        total = total + cells * kernel[:, :, row, column, None, None]
    return total
