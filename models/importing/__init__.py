"""Foreign checkpoints -> model packages. Needs torch; serving a package does not."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn

from models.importing.loading import ImportRefused, load_network
from models.importing.onnx_pair import graphs_from_pair, recognise_pair
from models.importing.origins import Origin, origin_of
from models.networks.exporting import largest_difference, write_onnx
from models.package import DUMMY, MODEL_CARD, WEIGHTS, ModelPackage, search_graph, template_graph, write_package
from models.runtimes.comparing import LIMITS, Difference
from models.runtimes.onnx import OnnxRuntime
from models.spec import ModelSpec
from models.variants import VARIANTS

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Imported:
    """A written package.

    `siblings`: variants of the same weights with other constants. `difference`: how far the graphs are from torch, at
    most; None for an ONNX pair, which comes as graphs."""

    package: ModelPackage
    variant: str
    siblings: tuple[str, ...]
    difference: Difference | None


def import_checkpoint(
    files: Sequence[Path], folder: Path, *, variant: str | None = None, name: str | None = None, replace: bool = False
) -> Imported:
    """Writes the package `folder`/`name` of a checkpoint, or of an ONNX pair (backbone and head).

    variant: what it is; found by names and shapes if absent. name: the variant's, if absent. replace: an older package
    of that name may be overwritten. Raises ImportRefused, CheckpointInvalid or PackageInvalid."""
    if variant is not None and variant not in VARIANTS:
        raise ImportRefused(f"there is no variant {variant!r}; known are {', '.join(sorted(VARIANTS))}")
    if name is not None:
        _require_free(folder, name, replace)
    if any(file.suffix == ".onnx" for file in files):
        return _import_pair(files, folder, variant, name, replace)
    if len(files) != 1:
        raise ImportRefused(f"a checkpoint is one file and an ONNX pair two .onnx files, not {len(files)} files")
    loaded = load_network(files[0], variant)
    spec = VARIANTS[loaded.variant]
    target = folder / _require_free(folder, name or loaded.variant, replace)
    with tempfile.TemporaryDirectory() as scratch:
        graphs = write_onnx(loaded.network, spec, Path(scratch))
        difference = _checked(loaded.network, spec, graphs)
        contents: dict[str, Path | bytes] = {**graphs, WEIGHTS: save(loaded.network.state_dict())}
        package = _write(target, loaded.variant, files, contents)
    return Imported(package, loaded.variant, loaded.siblings, difference)


def _import_pair(files: Sequence[Path], folder: Path, variant: str | None, name: str | None, replace: bool) -> Imported:
    if len(files) != 2 or any(file.suffix != ".onnx" for file in files):
        raise ImportRefused("an ONNX pair is two .onnx files, the backbone first and then the head")
    backbone, head = files
    chosen = recognise_pair(backbone, head)
    if variant not in (None, chosen):
        raise ImportRefused(f"{head} is not {variant}: the pair is {chosen}")
    target = folder / _require_free(folder, name or chosen, replace)
    package = _write(target, chosen, files, graphs_from_pair(backbone, head, VARIANTS[chosen]))
    return Imported(package, chosen, (), None)


def _checked(network: nn.Module, spec: ModelSpec, graphs: Mapping[str, Path]) -> Difference:
    """How far the graphs are from torch; refused beyond rounding."""
    searches = {size: graphs[search_graph(size, spec)] for size in spec.search_sizes}
    difference = largest_difference(network, spec, OnnxRuntime(graphs[template_graph()], searches))
    if not difference.negligible:
        raise ImportRefused(f"graphs and torch differ by {difference}; the limits are {LIMITS}")
    return difference


def _write(target: Path, variant: str, files: Sequence[Path], contents: Mapping[str, Path | bytes]) -> ModelPackage:
    origin = _provenance(files, variant, origin_of(variant))
    card = _card(target.name, origin).encode()
    return write_package(target, target.name, VARIANTS[variant], {**contents, MODEL_CARD: card}, origin, {})


def _provenance(files: Sequence[Path], variant: str, origin: Origin) -> dict[str, Any]:
    """The manifest's `origin`."""
    return {
        "kind": "imported",
        "variant": variant,
        "code": origin.code,
        "repository": origin.repository,
        "licence": origin.licence,
        "files": {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in _named(files).items()},
    }


def _named(files: Sequence[Path]) -> dict[str, Path]:
    """The files by their names: those of one name in two folders, as exporters write pairs, by their paths from the
    folder that holds both."""
    if len({file.name for file in files}) == len(files):
        return {file.name: file for file in files}
    folder = os.path.commonpath([file.absolute() for file in files])
    return {os.path.relpath(file, folder): file for file in files}


def _card(name: str, origin: Mapping[str, Any]) -> str:
    """The model card as Markdown."""
    sources = "\n".join(f"| `{file}` | `{digest}` |" for file, digest in origin["files"].items())
    return f"""# Model card: {name}

The tracker `{origin["variant"]}` of {origin["code"]} ({origin["repository"]}), with weights imported from

| file | sha256 |
| --- | --- |
{sources}

Licence: {origin["licence"]}. What the weights were trained on, and on what terms, only their source can tell.
No scores were measured; `lockon evaluate` does.
"""


def _require_free(folder: Path, name: str, replace: bool) -> str:
    """The name, if it is a good one and a package may be written under it."""
    if not _NAME.fullmatch(name) or name == DUMMY:
        raise ImportRefused(f"{name!r} is no name for a model: letters, digits, _ . - only, 64 at most, not {DUMMY!r}")
    if (folder / name).exists() and not replace:
        raise ImportRefused(f"{folder / name} exists; choose another name, or --force replaces it")
    return name
