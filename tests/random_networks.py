"""Networks with random weights whose answers are as lively as those of trained ones: finite, spread, with a peak."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from models.networks import build
from models.networks.build import Network
from models.networks.exporting import example
from models.spec import ModelSpec


def lively_network(spec: ModelSpec, seed: int = 0) -> nn.Module:
    """Fresh weights of that seed, scaled layer by layer so that every map has mean 0 and deviation 1 for made-up crops.

    Fresh weights alone give maps that shrink to nothing or grow beyond bounds with every layer. LSUV (Mishkin and Matas,
    ICLR 2016), with the batch norms' statistics set as well."""
    torch.manual_seed(seed)
    network = build(spec).eval()
    settled: set[nn.Module] = set()

    def settle(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Any:
        if layer in settled:
            return None
        settled.add(layer)
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean, layer.running_var = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.data /= output.std()
            if layer.bias is not None:
                layer.bias.data -= output.mean() / output.std()
        return layer(*inputs)

    hooks = [layer.register_forward_hook(settle) for layer in network.modules()  if isinstance(layer, nn.BatchNorm2d | nn.Conv2d | nn.Linear)]
    template, search, *_ = example(spec, spec.crop.search_size, 2)
    with torch.no_grad():
        first, *others = cast("Network", network).template(template)
        if spec.memory is not None:
            first = torch.stack([first] * spec.memory.length, dim=1)
        cast("Network", network).outputs((first, *others), search)
    for hook in hooks:
        hook.remove()
    return network
