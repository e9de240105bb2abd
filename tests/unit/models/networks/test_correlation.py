"""The depth-wise correlation that exported graphs compute is the one that torch computes."""

from __future__ import annotations

import pytest
import torch

from models.networks.correlation import depthwise, depthwise_valid


class Correlation(torch.nn.Module):
    def __init__(self, padding: int) -> None:
        super().__init__()
        self.padding = padding

    def forward(self, kernel: torch.Tensor, search: torch.Tensor) -> torch.Tensor:
        return depthwise_valid(kernel, search, self.padding)


@pytest.mark.parametrize(
    ("side", "width", "height", "padding"), [(4, 9, 9, 0), (5, 12, 8, 0), (4, 4, 6, 1), (1, 3, 3, 0)]
)
def test_an_exported_correlation_gives_the_same_sums(side: int, width: int, height: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(3, 6, side, side, generator=generator)
    search = torch.randn(3, 6, height, width, generator=generator)
    correlation = Correlation(padding)
    batch = {0: torch.export.Dim("batch", min=1, max=64)}
    exported = torch.export.export(correlation, (kernel[:2], search[:2]), dynamic_shapes=(batch, batch)).module()
    torch.testing.assert_close(exported(kernel, search), correlation(kernel, search))
    assert correlation(kernel, search).shape == (3, 6, height + 2 * padding - side + 1, width + 2 * padding - side + 1)


def test_the_correlation_that_learns_gives_the_sums_of_the_one_that_serves() -> None:
    generator = torch.Generator().manual_seed(0)
    kernel = torch.randn(3, 6, 3, 3, generator=generator).requires_grad_()
    search = torch.randn(3, 6, 9, 9, generator=generator)
    with torch.no_grad():
        served = depthwise(kernel, search, dilation=2)
    torch.testing.assert_close(depthwise(kernel, search, dilation=2).detach(), served)
