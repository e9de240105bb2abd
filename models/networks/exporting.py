"""From a network to the graphs that runtimes execute, and how far their answers are from torch's."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from models.families import FAMILIES
from models.networks.build import Network
from models.networks.graphs import SearchGraph, TemplateGraph
from models.package import TEMPLATE_GRAPH, search_graph
from models.runtimes.base import Runtime
from models.runtimes.torch import TorchRuntime
from models.spec import ModelSpec

MAX_BATCH = 4096


class Example(NamedTuple):
    """Inputs of the two graphs for a batch of made-up targets."""

    template: Tensor
    search: Tensor
    size: Tensor
    loop: Tensor


def example(spec: ModelSpec, search_size: int, count: int) -> Example:
    """The same smooth blobs for the same count: noise would give maps without a clear peak, and a coin toss for each
    comparison of peaks."""
    generator = torch.Generator().manual_seed(count)
    kind = torch.float32 if FAMILIES[spec.family].crop_type is np.float32 else torch.uint8

    def crops(side: int) -> Tensor:
        coarse = torch.rand(count, 3, 7, 7, generator=generator) * 255
        fine = nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 255)
        return fine.permute(0, 2, 3, 1).to(kind).contiguous()

    size = torch.tensor([[60.0, 48.0]]).repeat(count, 1)
    loop = torch.tensor([[spec.loop.penalty_k, spec.loop.window_influence, spec.loop.size_lr]]).repeat(count, 1)
    return Example(crops(spec.crop.template_size), crops(search_size), size, loop)


def write_onnx(network: nn.Module, spec: ModelSpec, folder: Path) -> dict[str, Path]:
    """Writes the template graph and one search graph for each search size into `folder`: file name -> path."""
    network = network.eval()
    batch = {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}
    features = _features(network, spec)
    names = [f"features_{number}" for number in range(len(features))]
    files = {TEMPLATE_GRAPH: folder / TEMPLATE_GRAPH}
    sample = example(spec, spec.crop.search_size, 2)
    _export(TemplateGraph(network), (sample.template,), files[TEMPLATE_GRAPH], ["crop"], names, (batch,))
    for search_size in spec.search_sizes:
        name = search_graph(search_size, spec)
        files[name] = folder / name
        _, search, size, loop = example(spec, search_size, 2)
        inputs = (*features, search, size, loop)
        graph = SearchGraph(network, spec, search_size)
        shapes = ((batch,) * len(inputs),)
        _export(graph, inputs, files[name], [*names, "crop", "size", "loop"], ["best", "peak2"], shapes)
    return files


def largest_difference(network: nn.Module, spec: ModelSpec, runtime: Runtime) -> float:
    """Largest absolute difference between a runtime and torch, in crop pixels and score, for one and three targets."""
    reference = TorchRuntime.of(network, spec)
    largest = 0.0
    for search_size in spec.search_sizes:
        for count in (1, 3):
            template, search, size, loop = (part.numpy() for part in example(spec, search_size, count))
            answers = []
            for each in (reference, runtime):
                rows = each.template(template)
                if spec.memory is not None:
                    rows = [each.joined([row] * spec.memory.length) for row in rows]
                answers.append(each.search(rows, search, size, loop))
            expected, got = answers
            largest = max(largest, *(float(np.abs(a - b).max()) for a, b in zip(got, expected, strict=True)))
    return largest


def _features(network: nn.Module, spec: ModelSpec) -> tuple[Tensor, ...]:
    """Template features of two targets as the search graph wants them."""
    with torch.no_grad():
        first, *others = cast("Network", network).template(example(spec, spec.crop.search_size, 2).template)
    if spec.memory is not None:
        first = torch.stack([first] * spec.memory.length, dim=1)
    return first, *others


def _export(
    module: nn.Module,
    inputs: tuple[Tensor, ...],
    path: Path,
    input_names: list[str],
    output_names: list[str],
    dynamic_shapes: tuple[Any, ...],
) -> None:
    # The exporter tells of packages that it could use and does not need.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.onnx.export(
        module.eval(),
        inputs,
        path,
        input_names=input_names,
        output_names=output_names,
        dynamic_shapes=dynamic_shapes,
        external_data=False,
        verbose=False,
    )
