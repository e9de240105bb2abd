"""Networks with random weights whose answers are as lively as those of trained ones: finite, spread, with a peak."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from models.networks import build
from models.networks.build import Network
from models.networks.exporting import example
from models.spec import ModelSpec

_CROPS = 8
_OUTPUT_CHANNELS = (1, 2, 4, 10, 20)
"""No layer but the last ones of a head has so few; those of boxes go through exp()."""
_KERNEL_CHANNELS = 2048
"""Only the up-channel head has layers with more: their outputs are the kernels of large sums."""


def lively_network(spec: ModelSpec, seed: int = 0) -> nn.Module:
    """Fresh weights of that seed, scaled layer by layer so that every layer's numbers are about 1 for made-up crops.

    Fresh weights alone give maps that shrink to nothing or grow beyond bounds with every layer. Like LSUV (Mishkin and
    Matas, ICLR 2016), with the batch norms' statistics set as well."""
    torch.manual_seed(seed)
    network = build(spec).eval()
    settled: set[nn.Module] = set()

    def settle(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Any:
        if layer in settled:
            return None
        settled.add(layer)
        if isinstance(layer, nn.BatchNorm2d):
            maps = inputs[0].transpose(0, 1).flatten(1)
            # A channel that hardly changes stays so: to blow it up would blow up the noise of its last digits as well.
            layer.running_mean, layer.running_var = maps.mean(1), maps.var(1) + 0.1 * maps.square().mean()
            layer.weight.data.fill_(_deviation(layer.num_features))
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            scale = _deviation(layer.weight.shape[0]) / output.square().mean().sqrt()
            layer.weight.data *= scale
            if layer.bias is not None:
                layer.bias.data *= scale
        return layer(*inputs)

    layers = [each for each in network.modules() if isinstance(each, nn.BatchNorm2d | nn.Conv2d | nn.Linear)]
    hooks = [layer.register_forward_hook(settle) for layer in layers]
    template, search, *_ = example(spec, spec.crop.search_size, _CROPS)
    with torch.no_grad():
        first, *others = cast("Network", network).template(template)
        if spec.template_count > 1:
            first = torch.stack([first] * spec.template_count, dim=1)
        cast("Network", network).outputs((first, *others), search)
    for hook in hooks:
        hook.remove()
    return network


def _deviation(channels: int) -> float:
    if channels > _KERNEL_CHANNELS:
        return 1 / 128
    return 0.5 if channels in _OUTPUT_CHANNELS else 1.0
