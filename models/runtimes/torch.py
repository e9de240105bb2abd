"""Graphs run by torch: a network as it is, which exported graphs are compared with, or TorchScript's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.networks.graphs import SearchGraph, TemplateGraph
from models.runtimes.base import Best, Features, FloatArray
from models.runtimes.kinds import Precision
from models.spec import ModelSpec

Graph = Callable[..., tuple[Tensor, ...]]


class TorchRuntime:
    """Obeys `models.runtimes.base.Runtime`: one template graph, and one search graph for each side of search crops."""

    def __init__(
        self,
        template: Graph,
        searches: Mapping[int, Graph],
        device: str = "cpu",
        *,
        name: str = "torch",
        precision: Precision = Precision.F32,
    ) -> None:
        self.device = device
        self.name = name
        self.precision = precision
        self._template = template
        self._searches = searches

    @classmethod
    def of(cls, network: nn.Module, spec: ModelSpec, device: str = "cpu") -> Self:
        """Runs `network` eagerly."""
        network = network.eval().to(device)
        searches = {size: SearchGraph(network, spec, size).to(device) for size in spec.search_sizes}
        return cls(TemplateGraph(network), searches, device)

    def template(self, crops: NDArray[Any]) -> list[Features]:
        """Features of (N, Z, Z, 3) template crops, kept on the device."""
        with torch.inference_mode():
            outputs = self._template(self._moved(crops))
        return [tuple(output[row].clone() for output in outputs) for row in range(len(crops))]

    def joined(self, templates: Sequence[Features]) -> Features:
        """The first arrays of all templates stacked, the others from the first template."""
        return torch.stack([template[0] for template in templates]), *templates[0][1:]

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """One run of the search graph of that size of crops; see the port for the shapes."""
        rows = [torch.stack(column) for column in zip(*features, strict=True)]
        with torch.inference_mode():
            graph = self._searches[crops.shape[1]]
            best, peak2 = graph(*rows, self._moved(crops), self._moved(size), self._moved(loop))
        return Best(np.asarray(best.float().cpu()), np.asarray(peak2.float().cpu()))

    def _moved(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)
