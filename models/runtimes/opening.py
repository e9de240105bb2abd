"""From a package to a runtime that executes its graphs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

from models.runtimes.base import Runtime
from models.runtimes.kinds import GraphFormat, Precision, RuntimeKind, RuntimeUnavailable
from models.spec import ModelSpec


class Graphs(NamedTuple):
    """Files of a package: the template graph, and the search graph for each side of search crops."""

    template: Path
    searches: Mapping[int, Path]


class _Needs(NamedTuple):
    """`library` to import, the `extra` that installs it, and where and in what numbers the runtime can compute."""

    library: str
    extra: str
    devices: tuple[str, ...]
    precisions: tuple[Precision, ...]


_NEEDS: Mapping[RuntimeKind, _Needs] = MappingProxyType({
    RuntimeKind.ONNXRUNTIME: _Needs("onnxruntime", "gpu", ("cpu", "cuda"), (Precision.F32,)),
    RuntimeKind.OPENVINO: _Needs("openvino", "openvino", ("cpu",), (Precision.F32, Precision.BF16)),
    RuntimeKind.TORCHSCRIPT: _Needs("torch", "train", ("cpu", "cuda"), (Precision.F32, Precision.F16)),
})  # fmt: skip


def graph_format(kind: RuntimeKind, precision: Precision = Precision.F32) -> GraphFormat:
    """The files that the runtime reads."""
    if kind is not RuntimeKind.TORCHSCRIPT:
        return GraphFormat.ONNX
    return GraphFormat.TORCHSCRIPT_F16 if precision is Precision.F16 else GraphFormat.TORCHSCRIPT


def open_runtime(
    graphs: Graphs,
    kind: RuntimeKind = RuntimeKind.ONNXRUNTIME,
    *,
    threads: int = 1,
    device: str = "cpu",
    precision: Precision = Precision.F32,
) -> Runtime:
    """The runtime with these graphs, which are of `graph_format(kind, precision)`.

    device: `cpu`, `cuda` or `cuda:1`. threads: how many one run may use. Raises RuntimeUnavailable for what this
    machine or this runtime lacks, and GraphInvalid for graphs that it can't load."""
    check_available(kind, device, precision)
    # Imported here: whoever uses one runtime does without the others, and without the time that their imports take.
    if kind is RuntimeKind.OPENVINO:
        from models.runtimes.openvino import OpenVinoRuntime

        return OpenVinoRuntime(*graphs, threads, precision)
    if kind is RuntimeKind.TORCHSCRIPT:
        from models.runtimes.torchscript import open_torchscript

        return open_torchscript(*graphs, device, threads, precision)
    if device != "cpu":
        if find_spec("onnx") is None:
            raise RuntimeUnavailable(f"{kind} on {device!r} needs the extra `gpu`: pip install 'lockon[gpu]'")
        from models.runtimes.onnx_bound import BoundOnnxRuntime

        return BoundOnnxRuntime(*graphs, device, threads)
    from models.runtimes.onnx import OnnxRuntime

    return OnnxRuntime(*graphs, threads)


def precision_of(asked: Precision | Literal["auto"], kind: RuntimeKind, device: str, spec: ModelSpec) -> Precision:
    """`auto` is bf16 for a model that follows as well in it, by a runtime that has it on this device; else f32."""
    if asked != "auto":
        return asked
    needs = _NEEDS[kind]
    fits = spec.bf16 and Precision.BF16 in needs.precisions and device in needs.devices
    return Precision.BF16 if fits else Precision.F32


def check_available(kind: RuntimeKind, device: str, precision: Precision) -> None:
    """Raises RuntimeUnavailable if the runtime is not installed, or has no such device or precision."""
    needs = _NEEDS[kind]
    if find_spec(needs.library) is None:
        raise RuntimeUnavailable(f"{kind} needs {needs.library}, which is missing: pip install 'lockon[{needs.extra}]'")
    if device.partition(":")[0] not in needs.devices:
        raise RuntimeUnavailable(f"{kind} does not run on {device!r} here, only on {' and '.join(needs.devices)}")
    if precision not in needs.precisions:
        raise RuntimeUnavailable(f"{kind} has no {precision}, only {' and '.join(needs.precisions)}")
