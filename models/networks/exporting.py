"""From a network to the graphs that runtimes execute, and how far their answers are from torch's."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from models.families import FAMILIES
from models.networks.build import Network
from models.networks.graphs import HalfNetwork, MapsGraph, SearchGraph, TemplateGraph
from models.package import search_graph, template_graph
from models.runtimes.base import Best, Runtime
from models.runtimes.comparing import Difference, difference, largest
from models.runtimes.kinds import GraphFormat
from models.runtimes.torch import TorchRuntime
from models.spec import ModelSpec

MAX_BATCH = 4096


class Example(NamedTuple):
    """Inputs of the two graphs for a batch of targets."""

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


def write_graphs(network: nn.Module, spec: ModelSpec, folder: Path, kind: GraphFormat) -> dict[str, Path]:
    """Writes the template graph and one search graph for each search size into `folder`: file name -> path."""
    if kind is GraphFormat.ONNX:
        return write_onnx(network, spec, folder)
    return _write_torchscript(network, spec, folder, kind)


def write_onnx(network: nn.Module, spec: ModelSpec, folder: Path) -> dict[str, Path]:
    """As `write_graphs`, for ONNX."""
    network = network.eval()
    batch = {0: torch.export.Dim("batch", min=1, max=MAX_BATCH)}
    features = _features(network, spec)
    names = [f"features_{number}" for number in range(len(features))]
    template = folder / template_graph()
    sample = example(spec, spec.crop.search_size, 2)
    _export(TemplateGraph(network), (sample.template,), template, ["crop"], names, (batch,))
    files = {template.name: template}
    for search_size in spec.search_sizes:
        path = folder / search_graph(search_size, spec)
        _, search, size, loop = example(spec, search_size, 2)
        inputs = (*features, search, size, loop)
        graph = SearchGraph(network, spec, search_size)
        shapes = ((batch,) * len(inputs),)
        _export(graph, inputs, path, [*names, "crop", "size", "loop"], ["best", "peak2"], shapes)
        files[path.name] = path
    return files


def write_maps(network: nn.Module, spec: ModelSpec, search_size: int, path: Path) -> None:
    """Writes the graph of the maps that a search chooses from: inputs `features_*` and `crop`, outputs `score` and
    `boxes`. No runtime of ours takes it; whoever tries many loop constants does."""
    network = network.eval()
    features = _features(network, spec)
    names = [f"features_{number}" for number in range(len(features))]
    inputs = (*features, example(spec, search_size, 2).search)
    shapes = (({0: torch.export.Dim("batch", min=1, max=MAX_BATCH)},) * len(inputs),)
    _export(MapsGraph(network), inputs, path, [*names, "crop"], ["score", "boxes"], shapes)


def largest_difference(
    network: nn.Module, spec: ModelSpec, runtime: Runtime, examples: Mapping[int, Sequence[Example]] | None = None
) -> Difference:
    """How far a runtime is from torch, at most.

    examples: batches for each search size; by default made-up ones of one and of three targets."""
    reference = TorchRuntime.of(network, spec)
    made_up = {size: [example(spec, size, count) for count in (1, 3)] for size in spec.search_sizes}
    batches = [batch for size in spec.search_sizes for batch in (examples or made_up)[size]]
    return largest(difference(answer(runtime, spec, batch), answer(reference, spec, batch)) for batch in batches)


def answer(runtime: Runtime, spec: ModelSpec, batch: Example) -> Best:
    """What a runtime says of a batch; of several templates all are the same."""
    template, search, size, loop = (part.numpy() for part in batch)
    rows = runtime.template(template)
    if spec.template_count > 1:
        rows = [runtime.joined([row] * spec.template_count) for row in rows]
    return runtime.search(rows, search, size, loop)


def _features(network: nn.Module, spec: ModelSpec) -> tuple[Tensor, ...]:
    """Template features of two targets as the search graph wants them."""
    with torch.no_grad():
        first, *others = cast("Network", network).template(example(spec, spec.crop.search_size, 2).template)
    if spec.template_count > 1:
        first = torch.stack([first] * spec.template_count, dim=1)
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
    with warnings.catch_warnings():
        # It tells of its own tree functions, and of dynamic axes that it could name alike.
        warnings.filterwarnings("ignore", r".isinstance\(treespec, LeafSpec\)", FutureWarning)
        warnings.filterwarnings("ignore", "# The axis name", UserWarning)
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
    _forget_origins(path)


def _forget_origins(path: Path) -> None:
    """Takes out what the exporter notes of every node: the lines of code it comes from, with this machine's paths."""
    model = onnx.load(path)
    for part in (model, model.graph, *model.graph.node, *model.graph.value_info, *model.functions):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    for function in model.functions:
        for node in function.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
    onnx.save(model, path)


def _write_torchscript(network: nn.Module, spec: ModelSpec, folder: Path, kind: GraphFormat) -> dict[str, Path]:
    network = HalfNetwork(network.eval()) if kind is GraphFormat.TORCHSCRIPT_F16 else network.eval()
    features = _features(network, spec)
    template = folder / template_graph(kind.suffix)
    _trace(TemplateGraph(network), (example(spec, spec.crop.search_size, 2).template,), template)
    files = {template.name: template}
    for search_size in spec.search_sizes:
        path = folder / search_graph(search_size, spec, kind.suffix)
        _, *inputs = example(spec, search_size, 2)
        _trace(SearchGraph(network, spec, search_size), (*features, *inputs), path)
        files[path.name] = path
    return files


def _trace(module: nn.Module, inputs: tuple[Tensor, ...], path: Path) -> None:
    with warnings.catch_warnings(), torch.no_grad():
        # torch would rather see its compiler used, and can't know that nothing here depends on a tensor's numbers.
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        traced = torch.jit.trace(module.eval(), inputs, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.freeze(traced).save(path)
