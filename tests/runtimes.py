"""Every way to run a model's graphs, by name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from models.package import search_graph, template_graph
from models.runtimes.base import Runtime
from models.runtimes.kinds import GraphFormat, Precision, RuntimeKind
from models.runtimes.onnx_bound import BoundOnnxRuntime
from models.runtimes.opening import Graphs, graph_format, open_runtime
from models.spec import ModelSpec


class Way(NamedTuple):
    """A runtime in one precision; `bound`: ONNX Runtime with its inputs and outputs bound, as on a GPU."""

    kind: RuntimeKind
    precision: Precision = Precision.F32
    bound: bool = False

    @property
    def format(self) -> GraphFormat:
        """The files that it reads."""
        return graph_format(self.kind, self.precision)

    def opened(self, graphs: Graphs) -> Runtime:
        """Ready to run, on the processor."""
        if self.bound:
            return BoundOnnxRuntime(*graphs, device="cpu")
        return open_runtime(graphs, self.kind, precision=self.precision)


EXACT: Mapping[str, Way] = MappingProxyType({
    "onnxruntime": Way(RuntimeKind.ONNXRUNTIME),
    "onnxruntime, bound": Way(RuntimeKind.ONNXRUNTIME, bound=True),
    "openvino": Way(RuntimeKind.OPENVINO),
    "torchscript": Way(RuntimeKind.TORCHSCRIPT),
})  # fmt: skip
"""Those that compute in float32."""


def graphs_in(folder: Path, spec: ModelSpec, kind: GraphFormat) -> Graphs:
    """The graphs that an export wrote into a folder."""
    searches = {size: folder / search_graph(size, spec, kind.suffix) for size in spec.search_sizes}
    return Graphs(folder / template_graph(kind.suffix), searches)
