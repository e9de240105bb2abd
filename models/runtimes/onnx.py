"""ONNX Runtime on the processor: the default runtime."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray

from models.runtimes.base import Best, Features, FloatArray

_FEATURE_PREFIX = "features_"


class GraphInvalid(ValueError):
    """A file is no graph that ONNX Runtime can load, or its inputs and outputs are not those of the two graphs."""


class OnnxRuntime:
    """Obeys `models.runtimes.base.Runtime` with a template graph, and a search graph for each side of search crops.

    `threads` is how many threads one run may use. One is right for a server: on networks of this size more threads cost
    more time in total than they save, and the workers already fill the cores.
    """

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, template_graph: Path, search_graphs: Mapping[int, Path], threads: int = 1) -> None:
        self._template = _session(template_graph, threads)
        self._searches = {size: _session(path, threads) for size, path in search_graphs.items()}
        self._features = sorted(output.name for output in self._template.get_outputs())
        wanted = [f"{_FEATURE_PREFIX}{i}" for i in range(len(self._features))]
        _require_names(template_graph, "inputs", [node.name for node in self._template.get_inputs()], ["crop"])
        _require_names(template_graph, "outputs", self._features, wanted)
        for size, path in search_graphs.items():
            inputs = [node.name for node in self._searches[size].get_inputs()]
            _require_names(path, "inputs", inputs, [*wanted, "crop", "size", "loop"])
            _require_names(
                path, "outputs", [node.name for node in self._searches[size].get_outputs()], ["best", "peak2"]
            )

    def template(self, crops: NDArray[Any]) -> list[Features]:
        """Features of (N, Z, Z, 3) template crops, each with memory of its own."""
        outputs = cast("list[FloatArray]", self._template.run(self._features, {"crop": crops}))
        return [tuple(output[row].copy() for output in outputs) for row in range(len(crops))]

    def joined(self, templates: Sequence[Features]) -> Features:
        """The first arrays of all templates stacked, the others from the first template."""
        return np.stack([template[0] for template in templates]), *templates[0][1:]

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """One run of the search graph of that size of crops; see the port for the shapes."""
        inputs: dict[str, NDArray[Any]] = {"crop": crops, "size": size, "loop": loop}
        for i, name in enumerate(self._features):
            inputs[name] = features[0][i][None] if len(features) == 1 else np.stack([each[i] for each in features])
        best, peak2 = cast("list[FloatArray]", self._searches[crops.shape[1]].run(["best", "peak2"], inputs))
        return Best(best, peak2)


def _session(graph: Path, threads: int) -> ort.InferenceSession:
    options = ort.SessionOptions()
    # Only the highest level converts to the blocked layout, which is twice as fast.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Waiting threads would burn the cores that the other workers need.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library's own exceptions have no common base but this one
        raise GraphInvalid(f"{graph}: ONNX Runtime cannot load it: {error}") from error


def _require_names(graph: Path, what: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    if sorted(found) != sorted(wanted):
        raise GraphInvalid(f"{graph}: the {what} are {', '.join(sorted(found))}; expected {', '.join(sorted(wanted))}")
