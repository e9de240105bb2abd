"""The region proposal network of SiamRPN (CVPR 2018), section 3.2: the template makes the weights of a convolution.

Once for the score, 2 x 5 outputs, and once for the box, 4 x 5 outputs; C channels, no norm, no ReLU:

| part | layers | map side for crops of 127 / 271 px |
| --- | --- | --- |
| kernel | template map: 3x3 with a bias, C -> outputs * C | 6 -> 4 |
| search | search map: 3x3 with a bias, C -> C | 24 -> 22 |
| correlation | convolution of the search map with the kernel, unpadded | 19 |
| adjust | box only: 1x1 with a bias, 20 -> 20 | 19 |

Facts: DaSiamRPN, code/net.py; pysot, models/head/rpn.py (UPChannelRPN); huanglianghua/siamrpn-pytorch, siamrpn.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.grids import ANCHOR_RATIOS

_SCORES = 2 * len(ANCHOR_RATIOS)
_BOXES = 4 * len(ANCHOR_RATIOS)


class UpChannelRpn(nn.Module):
    """Kernels: the score's and the box's, each (B, outputs, 4, 4, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.score_kernel = nn.Conv2d(channels, _SCORES * channels, 3)
        self.score_search = nn.Conv2d(channels, channels, 3)
        self.box_kernel = nn.Conv2d(channels, _BOXES * channels, 3)
        self.box_search = nn.Conv2d(channels, channels, 3)
        self.box_adjust = nn.Conv2d(_BOXES, _BOXES, 1)

    def template(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The template map (B, C, h, w) -> kernels."""
        (template,) = maps
        kernels = self.score_kernel(template), self.box_kernel(template)
        return tuple(torch.unflatten(kernel, 1, (-1, template.shape[1])).movedim(2, -1) for kernel in kernels)

    def forward(self, kernels: Sequence[Tensor], maps: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Kernels and the search map (B, C, H, W) -> logits (B, 10, H', W') and deltas (B, 20, H', W')."""
        (search,) = maps
        score_kernel, box_kernel = kernels
        deltas: Tensor = self.box_adjust(convolved(box_kernel, self.box_search(search)))
        return convolved(score_kernel, self.score_search(search)), deltas


# A trace alone takes the map's sides for numbers that may change, and knows no loops over them.
@torch.jit.script_if_tracing  # type: ignore[untyped-decorator]
def _convolved(kernel: Tensor, search: Tensor) -> Tensor:
    rows, columns = kernel.shape[2], kernel.shape[3]
    height, width = search.shape[2] - rows + 1, search.shape[3] - columns + 1
    products = torch.matmul(kernel.flatten(1, 3), search.flatten(2))
    products = products.reshape(-1, kernel.shape[1], rows * columns, search.shape[2], search.shape[3])
    total = products[:, :, 0, :height, :width]
    for shift in range(1, rows * columns):
        row, column = shift // columns, shift % columns
        total = total + products[:, :, shift, row : row + height, column : column + width]
    return total


def convolved(kernel: Tensor, search: Tensor) -> Tensor:
    """Sample i with kernel i, unflipped, unpadded: (B, O, h, w, C), (B, C, H, W) -> (B, O, H - h + 1, W - w + 1).

    One product of matrices for all samples, of which shifted parts are then summed up: a grouped convolution would need
    a number of groups that depends on the batch, which exported graphs can't have."""
    total: Tensor = _convolved(kernel, search)
    return total
