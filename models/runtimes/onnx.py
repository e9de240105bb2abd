"""ONNX Runtime on the processor: the default runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]

from models.runtimes.base import Best, ByteArray, Features, FloatArray

_FEATURE_PREFIX = "features_"


class GraphInvalid(ValueError):
    """A file is no graph that ONNX Runtime can load, or its inputs and outputs are not those of the two graphs."""


class OnnxRuntime:
    """Obeys `models.runtimes.base.Runtime` with a template graph and a search graph on the CPU.

    `threads` is how many threads one run may use. One is right for a server: on networks of this size more threads cost
    more time in total than they save, and the workers already fill the cores.
    """

    name = "onnxruntime"
    device = "cpu"

    def __init__(self, template_graph: Path, search_graph: Path, threads: int = 1) -> None:
        self._template = _session(template_graph, threads)
        self._search = _session(search_graph, threads)
        self._features = sorted(output.name for output in self._template.get_outputs())
        wanted = [f"{_FEATURE_PREFIX}{i}" for i in range(len(self._features))]
        _require_names(template_graph, "inputs", [node.name for node in self._template.get_inputs()], ["crop"])
        _require_names(template_graph, "outputs", self._features, wanted)
        search_inputs = [node.name for node in self._search.get_inputs()]
        _require_names(search_graph, "inputs", search_inputs, [*wanted, "crop", "size", "loop"])
        _require_names(search_graph, "outputs", [node.name for node in self._search.get_outputs()], ["best", "peak2"])

    def template(self, crops: ByteArray) -> list[Features]:
        """Features of (N, Z, Z, 3) template crops, each with memory of its own."""
        outputs = cast("list[FloatArray]", self._template.run(self._features, {"crop": crops}))
        return [tuple(output[row].copy() for output in outputs) for row in range(len(crops))]

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        """One run of the search graph for N targets; see the port for the shapes."""
        inputs: dict[str, ByteArray | FloatArray] = {"crop": crops, "size": size, "loop": loop}
        for i, name in enumerate(self._features):
            inputs[name] = features[0][i][None] if len(features) == 1 else np.stack([each[i] for each in features])
        best, peak2 = cast("list[FloatArray]", self._search.run(["best", "peak2"], inputs))
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
