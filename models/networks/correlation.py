"""Two ways to compare a template map with a search map; plain products and sums, so that any runtime batches them."""

from __future__ import annotations

import functools

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

    SiamRPN++ (CVPR 2019), section 3.4. Written as k * k shifted products where a graph may come of it: a grouped
    convolution would need a number of groups that depends on the batch, which exported graphs can't have. Where
    gradients are wanted it is that convolution: it learns four times as fast."""
    side = kernel.shape[-1]
    height, width = search.shape[2:]
    margin = dilation * (side // 2)
    if torch.is_grad_enabled() and kernel.requires_grad:
        groups = kernel.shape[0] * kernel.shape[1]
        flat = functional.conv2d(
            search.reshape(1, groups, height, width),
            kernel.reshape(groups, 1, side, side) / side**2,
            padding=margin,
            dilation=dilation,
            groups=groups,
        )
        return flat.reshape(search.shape)
    padded = functional.pad(search, (margin, margin, margin, margin))
    weights = kernel / side**2
    shifted = [
        padded[:, :, row * dilation : row * dilation + height, column * dilation : column * dilation + width]
        * weights[:, :, row, column, None, None]
        for row in range(side)
        for column in range(side)
    ]
    return functools.reduce(torch.add, shifted)


def depthwise_valid(kernel: Tensor, search: Tensor, padding: int = 0) -> Tensor:
    """Channel by channel, unflipped, where the kernel fits whole: (B, C, h, w), (B, C, H, W) -> (B, C, H', W').

    Sample i is compared with kernel i; H' = H + 2 padding - h + 1, likewise W'; `padding` zeros on every side.
    SiamRPN++ (CVPR 2019), section 3.4; pysot, models/head/rpn.py and core/xcorr.py: one grouped convolution. Exported
    graphs can't have its number of groups, which depends on the batch: they get the same sums as matrix products."""
    if padding:
        search = functional.pad(search, (padding, padding, padding, padding))
    if torch.compiler.is_exporting():
        return _band_products(kernel, search)
    compared: Tensor = _grouped(kernel, search)
    return compared


# A trace alone would keep the example's number of groups for ever.
@torch.jit.script_if_tracing  # type: ignore[untyped-decorator]
def _grouped(kernel: Tensor, search: Tensor) -> Tensor:
    groups = search.shape[0] * search.shape[1]
    flat = functional.conv2d(
        search.reshape(1, groups, search.shape[2], search.shape[3]),
        kernel.reshape(groups, 1, kernel.shape[2], kernel.shape[3]),
        groups=groups,
    )
    return flat.reshape(search.shape[0], search.shape[1], flat.shape[2], flat.shape[3])


def _band_products(kernel: Tensor, search: Tensor) -> Tensor:
    """The correlation as one matrix product for each row of the kernel.

    A kernel row becomes a (W, W') band matrix: column j holds it from row j on. It is the row with zeros up to W + 1,
    repeated W' times: cut to W' * W and read as rows of W, every repetition begins one place further on. Against
    shifted products this takes a third to an eighth of the nodes, and half the time in ONNX Runtime and OpenVINO."""
    batch, channels, rows, columns = kernel.shape
    height, side = search.shape[2] - rows + 1, search.shape[3]
    width = side - columns + 1
    repeated = functional.pad(kernel, (0, width)).unsqueeze(3).expand(-1, -1, -1, width, -1).flatten(3)
    bands = repeated[..., : width * side].reshape(batch, channels, rows, width, side).transpose(3, 4)
    products = [search[:, :, row : row + height] @ bands[:, :, row] for row in range(rows)]
    return functools.reduce(torch.add, products)
