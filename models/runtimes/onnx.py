"""ONNX Runtime on the processor: the default runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray

from models.runtimes import arrays
from models.runtimes.base import Best, Features, FloatArray, GraphInvalid
from models.runtimes.kinds import Precision

Provider = str | tuple[str, dict[str, str]]


class OnnxRuntime:
    """Obeys `models.runtimes.base.Runtime` with a template graph, and a search graph for each side of search crops.

    `threads` is how many threads one run may use. One is right for a server: on networks of this size more threads cost
    more time in total than they save, and the workers already fill the cores. Graphs whose batch is fixed to 1 take one
    target at a time.
    """

    name = "onnxruntime"
    device = "cpu"
    precision = Precision.F32

    def __init__(self, template_graph: Path, search_graphs: Mapping[int, Path], threads: int = 1) -> None:
        self._template = session(template_graph, threads, ["CPUExecutionProvider"])
        self._searches = {
            size: session(path, threads, ["CPUExecutionProvider"]) for size, path in search_graphs.items()
        }
        self._features = checked_features(template_graph, self._template, search_graphs, self._searches)
        self._one_by_one = has_fixed_batch(self._template)

    def template(self, crops: NDArray[Any]) -> list[Features]:
        """Features of (N, Z, Z, 3) template crops, each with memory of its own."""
        if self._one_by_one and len(crops) > 1:
            return [self.template(crops[row : row + 1])[0] for row in range(len(crops))]
        outputs = cast("list[FloatArray]", self._template.run(self._features, {"crop": crops}))
        return [tuple(output[row].copy() for output in outputs) for row in range(len(crops))]

    def joined(self, templates: Sequence[Features]) -> Features:
        """The first arrays of all templates stacked, the others from the first template."""
        return arrays.joined(templates)

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """One run of the search graph of that size of crops; see the port for the shapes."""
        if self._one_by_one and len(crops) > 1:
            return arrays.row_by_row(self.search, features, crops, size, loop)
        inputs: dict[str, NDArray[Any]] = {"crop": crops, "size": size, "loop": loop}
        inputs |= zip(self._features, arrays.batched(features), strict=True)
        best, peak2 = cast("list[FloatArray]", self._searches[crops.shape[1]].run(arrays.OUTPUTS, inputs))
        return Best(best, peak2)


def session(graph: Path, threads: int, providers: Sequence[Provider]) -> ort.InferenceSession:
    """The graph, ready to run on the first of the providers that can; raises GraphInvalid."""
    try:
        return ort.InferenceSession(str(graph), session_options(threads), providers=list(providers))
    except Exception as error:  # the library's own exceptions have no common base but this one
        raise GraphInvalid(f"{graph}: ONNX Runtime cannot load it: {error}") from error


def session_options(threads: int) -> ort.SessionOptions:
    """For a graph that runs on that many threads."""
    options = ort.SessionOptions()
    # Only the highest level converts to the blocked layout, which is twice as fast.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads would burn the cores that the other workers need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def checked_features(
    template_graph: Path,
    template: ort.InferenceSession,
    search_graphs: Mapping[int, Path],
    searches: Mapping[int, ort.InferenceSession],
) -> list[str]:
    """Names of the template features; raises GraphInvalid where inputs and outputs are not those of the two graphs."""
    features = arrays.feature_names(template_graph, *_names(template))
    for size, path in search_graphs.items():
        arrays.require_search(path, *_names(searches[size]), features)
    return features


def has_fixed_batch(template: ort.InferenceSession) -> bool:
    """Whether the graph takes one crop at a time, as imported ONNX pairs do; a free axis has a name, not a number."""
    return isinstance(template.get_inputs()[0].shape[0], int)


def _names(graph: ort.InferenceSession) -> tuple[list[str], list[str]]:
    return [node.name for node in graph.get_inputs()], [node.name for node in graph.get_outputs()]
