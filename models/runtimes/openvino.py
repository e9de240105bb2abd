"""OpenVINO on the processor, for the same ONNX graphs."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino  # type: ignore[import-untyped]
from numpy.typing import NDArray

from models.runtimes import arrays
from models.runtimes.base import Best, Features, FloatArray, GraphInvalid
from models.runtimes.kinds import Precision

_PRECISIONS = {Precision.F32: openvino.Type.f32, Precision.BF16: openvino.Type.bf16}


class OpenVinoRuntime:
    """Obeys `models.runtimes.base.Runtime` with a template graph, and a search graph for each side of search crops.

    The graphs are compiled for one target at a time: with a free batch one target costs 10 to 50 % more, and each of
    several as much. `threads` is how many threads one run may use; every thread of the caller has requests of its own,
    and as many of them run at once as there are cores for. `precision` is bf16 only where it was asked for and the
    processor computes in it.
    """

    name = "openvino"
    device = "cpu"

    def __init__(
        self,
        template_graph: Path,
        search_graphs: Mapping[int, Path],
        threads: int = 1,
        precision: Precision = Precision.F32,
    ) -> None:
        core = openvino.Core()
        options = _options(threads, precision)
        self._template = _compiled(core, template_graph, options)
        self._searches = {size: _compiled(core, path, options) for size, path in search_graphs.items()}
        self._features = arrays.feature_names(template_graph, *_names(self._template))
        for size, path in search_graphs.items():
            arrays.require_search(path, *_names(self._searches[size]), self._features)
        kind = self._template.get_property("INFERENCE_PRECISION_HINT")
        self.precision = Precision.BF16 if kind == openvino.Type.bf16 else Precision.F32
        self._requests = _Requests(self._template, self._searches)

    def template(self, crops: NDArray[Any]) -> list[Features]:
        """Features of (N, Z, Z, 3) template crops, each with memory of its own."""
        return [self._one_template(crops[row : row + 1]) for row in range(len(crops))]

    def joined(self, templates: Sequence[Features]) -> Features:
        """The first arrays of all templates stacked, the others from the first template."""
        return arrays.joined(templates)

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """A run of the search graph of that size of crops for each target; see the port for the shapes."""
        return arrays.row_by_row(self._one_search, features, crops, size, loop)

    def _one_template(self, crop: NDArray[Any]) -> Features:
        outputs = self._requests.template.infer({"crop": crop}, share_inputs=True)
        return tuple(np.array(outputs[name][0]) for name in self._features)

    def _one_search(self, features: Sequence[Features], crop: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        inputs: dict[str, NDArray[Any]] = {"crop": crop, "size": size, "loop": loop}
        inputs |= zip(self._features, arrays.batched(features), strict=True)
        outputs = self._requests.searches[crop.shape[1]].infer(inputs, share_inputs=True)
        return Best(*(outputs[name] for name in arrays.OUTPUTS))


class _Requests(threading.local):
    """What runs the graphs: each thread has its own."""

    def __init__(self, template: openvino.CompiledModel, searches: Mapping[int, openvino.CompiledModel]) -> None:
        self.template = template.create_infer_request()
        self.searches = {size: search.create_infer_request() for size, search in searches.items()}


def _options(threads: int, precision: Precision) -> dict[str, Any]:
    streams = max(1, (os.cpu_count() or 1) // threads)
    return {
        "INFERENCE_PRECISION_HINT": _PRECISIONS[precision],
        "INFERENCE_NUM_THREADS": threads * streams,
        "NUM_STREAMS": streams,
        # Other processes use the same cores: a thread bound to one of them would wait while another one is free.
        "ENABLE_CPU_PINNING": False,
    }


def _compiled(core: openvino.Core, graph: Path, options: Mapping[str, Any]) -> openvino.CompiledModel:
    """The graph for a batch of 1; raises GraphInvalid."""
    try:
        model = core.read_model(graph)
        model.reshape({port.any_name: _one_row(port.partial_shape) for port in model.inputs})
        return core.compile_model(model, "CPU", options)
    except RuntimeError as error:
        raise GraphInvalid(f"{graph}: OpenVINO cannot load it: {error}") from error


def _one_row(shape: openvino.PartialShape) -> openvino.PartialShape:
    return openvino.PartialShape([1, *list(shape)[1:]])


def _names(model: openvino.CompiledModel) -> tuple[list[str], list[str]]:
    return [port.any_name for port in model.inputs], [port.any_name for port in model.outputs]
