"""From a checkpoint, or a package that has weights, to a model package: graphs that are checked against torch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save
from torch import Tensor, nn

from models.networks import build
from models.networks.exporting import Example, largest_difference, write_graphs
from models.package import (
    MODEL_CARD,
    WEIGHTS,
    ModelPackage,
    PackageInvalid,
    search_graph,
    template_graph,
    write_package,
)
from models.runtimes.comparing import LIMITS, Difference
from models.runtimes.kinds import GraphFormat, Precision, RuntimeKind
from models.runtimes.opening import Graphs, open_runtime
from models.spec import ModelSpec
from training import checkpoint, model_card
from training.crops import examples_from_frames
from training.recipe import read_recipe

_RUNNERS = {
    GraphFormat.ONNX: (RuntimeKind.ONNXRUNTIME, Precision.F32),
    GraphFormat.TORCHSCRIPT: (RuntimeKind.TORCHSCRIPT, Precision.F32),
    GraphFormat.TORCHSCRIPT_F16: (RuntimeKind.TORCHSCRIPT, Precision.F16),
}
_ROUNDED = (GraphFormat.TORCHSCRIPT_F16,)
"""Formats that differ from torch by nature: their difference is told and not judged."""


class ExportFailed(RuntimeError):
    """The exported graphs do not do what the network does, or there is nothing to export; the message says what."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A written package, and how far the graphs of each format are from torch, at most."""

    package: ModelPackage
    differences: Mapping[GraphFormat, Difference]


def export(
    source: Path,
    out: Path,
    *,
    formats: Sequence[GraphFormat] = (GraphFormat.ONNX,),
    frames: Path | None = None,
    scores: Mapping[str, Any] | None = None,
    recipe: Path | None = None,
    mean_with: Sequence[Path] = (),
) -> Exported:
    """Writes the package of a checkpoint's averaged weights to `out`.

    mean_with: other checkpoints of the run; the weights become the mean of theirs and `source`'s.
    frames: a folder of pictures that the crops of the check are cut from; made-up crops without it. scores: what
    `lockon evaluate` measured, for the manifest. recipe: a recipe of the same network whose loop and presence constants
    replace those of the checkpoint (they are tuned after training).
    Raises ExportFailed if a graph differs from torch by more than rounding, or a checkpoint or the recipe is of another
    network, and CheckpointInvalid for other files."""
    content = checkpoint.load(source)
    others = [checkpoint.load(path) for path in mean_with]
    for path, other in zip(mean_with, others, strict=True):
        if _shapes(other["average"]) != _shapes(content["average"]):
            raise ExportFailed(f"{path}: holds weights of another network than {source}")
    weights = checkpoint.mean_weights([each["average"] for each in (*others, content)])
    name = content["recipe"]["name"]
    spec = ModelSpec.from_json(content["recipe"]["model"])
    if recipe is not None:
        spec = _retuned(spec, read_recipe(recipe).model)
    network = build(spec)
    network.load_state_dict(weights)
    origin = model_card.origin(content)
    if others:
        origin["mean_of_steps"] = [each["step"] for each in (*others, content)]
    with tempfile.TemporaryDirectory() as folder:
        files, differences = _checked_graphs(network, spec, Path(folder), formats, frames)
        files[WEIGHTS] = save({key: value.contiguous() for key, value in network.state_dict().items()})
        files[MODEL_CARD] = model_card.text(name, spec, origin, scores or {}).encode()
        return Exported(write_package(out, name, spec, files, origin, scores or {}), differences)


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    return {key: tuple(value.shape) for key, value in weights.items()}


def export_package(
    package: ModelPackage, out: Path, *, formats: Sequence[GraphFormat], frames: Path | None = None
) -> Exported:
    """Writes the package to `out`, which may be its own folder, with graphs of these formats made from its weights.

    Its other files stay as they are. Raises ExportFailed, and PackageInvalid if the weights do not fit the spec."""
    if WEIGHTS not in package.files:
        raise ExportFailed(f"{package.folder} has no {WEIGHTS}: graphs can't be made from graphs")
    network = build(package.spec)
    try:
        network.load_state_dict(load_file(package.file(WEIGHTS)))
    except RuntimeError as error:
        raise PackageInvalid(f"{package.file(WEIGHTS)}: does not fit the spec: {error}") from error
    with tempfile.TemporaryDirectory() as folder:
        graphs, differences = _checked_graphs(network, package.spec, Path(folder), formats, frames)
        files = dict(package.files) | graphs
        written = write_package(
            out, package.name, package.spec, files, package.origin, package.scores, version=package.version
        )
    return Exported(written, differences)


def _checked_graphs(
    network: nn.Module, spec: ModelSpec, folder: Path, formats: Sequence[GraphFormat], frames: Path | None
) -> tuple[dict[str, Path | bytes], dict[GraphFormat, Difference]]:
    """Graphs by file name, and how far those of each format are from torch."""
    files: dict[str, Path | bytes] = {}
    differences: dict[GraphFormat, Difference] = {}
    examples: Mapping[int, Sequence[Example]] | None = None
    if frames is not None:
        examples = examples_from_frames(spec, frames)
    for kind in formats:
        written = write_graphs(network, spec, folder, kind)
        searches = {size: written[search_graph(size, spec, kind.suffix)] for size in spec.search_sizes}
        runner, precision = _RUNNERS[kind]
        runtime = open_runtime(Graphs(written[template_graph(kind.suffix)], searches), runner, precision=precision)
        differences[kind] = difference = largest_difference(network, spec, runtime, examples)
        if kind not in _ROUNDED and not difference.negligible:
            raise ExportFailed(f"{kind} graphs and torch differ by {difference}; the limits are {LIMITS}")
        files |= written
    return files, differences


def _retuned(trained: ModelSpec, tuned: ModelSpec) -> ModelSpec:
    # How far around the target is looked is no matter of the weights.
    crop = replace(trained.crop, search_size=tuned.crop.search_size)
    if (trained.network, crop) != (tuned.network, tuned.crop):
        raise ExportFailed(f"the recipe is of another network: {tuned.network}, {tuned.crop}")
    return replace(
        trained,
        crop=crop,
        loop=tuned.loop,
        presence=tuned.presence,
        second_template=tuned.second_template,
        bf16=tuned.bf16,
        as_marked=tuned.as_marked,
    )
