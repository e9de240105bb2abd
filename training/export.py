"""From a checkpoint to a model package: the two ONNX graphs, checked against torch, the weights, and a model card."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn

from models.networks import Network, build
from models.networks.selection import select, window_for
from models.package import MODEL_CARD, SEARCH_GRAPH, TEMPLATE_GRAPH, WEIGHTS, ModelPackage, write_package
from models.runtimes.onnx import OnnxRuntime
from models.spec import ModelSpec
from training import checkpoint, model_card
from training.recipe import read_recipe

TOLERANCE = 1e-3
"""Largest difference between the graphs and torch that an export may show, in crop pixels and score."""


class ExportFailed(RuntimeError):
    """The exported graphs do not do what the network does; the message gives the difference."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A written package, and how far its graphs are from torch (largest absolute difference on random crops)."""

    package: ModelPackage
    difference: float


class TemplateGraph(nn.Module):
    """(B, Z, Z, 3) uint8 crops -> template features."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, crop: Tensor) -> tuple[Tensor, ...]:
        """Runs the template branch."""
        return cast("Network", self.network).template(crop)


class SearchGraph(nn.Module):
    """Template features, (B, S, S, 3) uint8 crops, sizes and loop constants -> best and peak2."""

    window: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network = network
        self.stride = spec.network.stride
        self.register_buffer("window", window_for(spec.map_size))

    def forward(self, features_0: Tensor, crop: Tensor, size: Tensor, loop: Tensor) -> tuple[Tensor, Tensor]:
        """Runs the search branch and chooses the best box."""
        logits, boxes = cast("Network", self.network).maps((features_0,), crop)
        return select(logits.sigmoid(), boxes, size, loop, self.window, self.stride)


def export(source: Path, out: Path, *, scores: Mapping[str, Any] | None = None, recipe: Path | None = None) -> Exported:
    """Writes the package of a checkpoint's averaged weights to `out`.

    scores: what `lockon evaluate` measured, for the manifest. recipe: a recipe of the same network whose loop and
    presence constants replace those of the checkpoint (they are tuned after training).
    Raises ExportFailed if a graph differs from torch by more than TOLERANCE, or the recipe is of another network."""
    content = checkpoint.load(source)
    name = content["recipe"]["name"]
    spec = ModelSpec.from_json(content["recipe"]["model"])
    if recipe is not None:
        spec = _retuned(spec, read_recipe(recipe).model)
    network = build(spec)
    network.load_state_dict(content["average"])
    network.eval()
    origin = model_card.origin(content)
    with tempfile.TemporaryDirectory() as folder:
        graphs = _graphs(network, spec, Path(folder))
        difference = _difference(network, spec, graphs)
        if difference > TOLERANCE:
            raise ExportFailed(f"graphs and torch differ by {difference:.2g}; the limit is {TOLERANCE:g}")
        files: dict[str, Path | bytes] = {path.name: path for path in graphs}
        files[WEIGHTS] = save({key: value.contiguous() for key, value in network.state_dict().items()})
        files[MODEL_CARD] = model_card.text(name, spec, origin, scores or {}).encode()
        return Exported(write_package(out, name, spec, files, origin, scores or {}), difference)


def _retuned(trained: ModelSpec, tuned: ModelSpec) -> ModelSpec:
    if (trained.network, trained.crop) != (tuned.network, tuned.crop):
        raise ExportFailed(f"the recipe is of another network: {tuned.network}, {tuned.crop}")
    return replace(trained, loop=tuned.loop, presence=tuned.presence)


def _graphs(network: nn.Module, spec: ModelSpec, folder: Path) -> tuple[Path, Path]:
    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    template_crop, search_crop, size, loop = _example(spec, 2)
    with torch.no_grad():
        features = cast("Network", network).template(template_crop)
    names = [f"features_{number}" for number in range(len(features))]
    template, search = folder / TEMPLATE_GRAPH, folder / SEARCH_GRAPH
    _export(TemplateGraph(network), (template_crop,), template, ["crop"], names, (batch,))
    inputs = (*features, search_crop, size, loop)
    graph = SearchGraph(network, spec)
    _export(graph, inputs, search, [*names, "crop", "size", "loop"], ["best", "peak2"], (batch,) * len(inputs))
    return template, search


def _export(
    module: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    inputs: list[str],
    outputs: list[str],
    shapes: tuple[Any, ...],
) -> None:
    # The exporter tells of packages that it could use and does not need.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    torch.onnx.export(
        module.eval(),
        example,
        path,
        input_names=inputs,
        output_names=outputs,
        dynamic_shapes=shapes,
        external_data=False,
        verbose=False,
    )


def _difference(network: nn.Module, spec: ModelSpec, graphs: tuple[Path, Path]) -> float:
    """Largest difference between ONNX Runtime and torch over batches of one and three random targets."""
    runtime, searching = OnnxRuntime(*graphs), SearchGraph(network, spec)
    largest = 0.0
    for count in (1, 3):
        template_crop, search_crop, size, loop = _example(spec, count)
        with torch.no_grad():
            (features,) = cast("Network", network).template(template_crop)
            expected = searching(features, search_crop, size, loop)
        rows = runtime.template(template_crop.numpy())
        got = runtime.search(rows, search_crop.numpy(), size.numpy(), loop.numpy())
        largest = max(largest, *(float(np.abs(a - b.numpy()).max()) for a, b in zip(got, expected, strict=True)))
    return largest


def _example(spec: ModelSpec, count: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(count)

    def crops(side: int) -> Tensor:
        # Smooth blobs rather than noise: a map without a clear peak makes any comparison of peaks a coin toss.
        coarse = torch.rand(count, 3, 7, 7, generator=generator) * 255
        fine = nn.functional.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 255)
        return fine.permute(0, 2, 3, 1).to(torch.uint8).contiguous()

    size = torch.tensor([[60.0, 48.0]]).repeat(count, 1)
    loop = torch.tensor([[spec.loop.penalty_k, spec.loop.window_influence, spec.loop.size_lr]]).repeat(count, 1)
    return crops(spec.crop.template_size), crops(spec.crop.search_size), size, loop
