"""The blocks that the published networks are built from."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

Pair = tuple[int, int]
"""Height and width."""


def convolution(
    inputs: int,
    outputs: int,
    kernel: int | Pair,
    *,
    stride: int = 1,
    padding: int | Pair = 0,
    dilation: int = 1,
    groups: int = 1,
    bias: bool = True,
    norm: bool = True,
    epsilon: float = 1e-5,
    relu: bool = False,
) -> nn.Sequential:
    """`conv`, then `norm` (batch norm) and `relu` where asked for: (B, inputs, H, W) -> (B, outputs, H', W')."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias)
    )
    if norm:
        parts["norm"] = nn.BatchNorm2d(outputs, eps=epsilon)
    if relu:
        parts["relu"] = nn.ReLU()
    return nn.Sequential(parts)


def normed(
    inputs: int,
    outputs: int,
    kernel: int | Pair,
    *,
    stride: int = 1,
    padding: int | Pair = 0,
    dilation: int = 1,
    groups: int = 1,
) -> nn.Sequential:
    """`conv` without bias, then `norm`: (B, inputs, H, W) -> (B, outputs, H', W')."""
    return convolution(
        inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, groups=groups, bias=False
    )
