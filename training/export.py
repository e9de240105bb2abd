"""From a checkpoint to a model package: the graphs, checked against torch, the weights, and a model card."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import save

from models.networks import build
from models.networks.exporting import largest_difference, write_onnx
from models.package import MODEL_CARD, TEMPLATE_GRAPH, WEIGHTS, ModelPackage, search_graph, write_package
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
    """A written package, and how far its graphs are from torch (largest absolute difference on made-up crops)."""

    package: ModelPackage
    difference: float


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
        graphs = write_onnx(network, spec, Path(folder))
        searches = {size: graphs[search_graph(size, spec)] for size in spec.search_sizes}
        difference = largest_difference(network, spec, OnnxRuntime(graphs[TEMPLATE_GRAPH], searches))
        if difference > TOLERANCE:
            raise ExportFailed(f"graphs and torch differ by {difference:.2g}; the limit is {TOLERANCE:g}")
        files: dict[str, Path | bytes] = dict(graphs)
        files[WEIGHTS] = save({key: value.contiguous() for key, value in network.state_dict().items()})
        files[MODEL_CARD] = model_card.text(name, spec, origin, scores or {}).encode()
        return Exported(write_package(out, name, spec, files, origin, scores or {}), difference)


def _retuned(trained: ModelSpec, tuned: ModelSpec) -> ModelSpec:
    if (trained.network, trained.crop) != (tuned.network, tuned.crop):
        raise ExportFailed(f"the recipe is of another network: {tuned.network}, {tuned.crop}")
    return replace(trained, loop=tuned.loop, presence=tuned.presence)
