"""ONNX Runtime with its inputs and outputs bound to a device: template features stay where they were computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import helper

from models.runtimes import arrays
from models.runtimes.base import Best, Features, FloatArray
from models.runtimes.kinds import Precision, RuntimeUnavailable
from models.runtimes.onnx import Provider, checked_features, has_fixed_batch, session, session_options

_CUDA: dict[str, str] = {
    # Every new size of batch would otherwise be searched exhaustively for its fastest convolutions: seconds each.
    "cudnn_conv_algo_search": "HEURISTIC",
    # The same boxes as everywhere else: TF32 has 10 bits where float32 has 23.
    "use_tf32": "0",
}
_OPSET, _IR_VERSION = 18, 9


class BoundOnnxRuntime:
    """Obeys `models.runtimes.base.Runtime` on `device`: `cuda`, `cuda:1`, or `cpu` (for tests of the same code).

    Features are OrtValues with a batch axis of 1, kept on the device. Only crops, sizes and constants go up to it, and
    ten numbers for each target come back. Raises RuntimeUnavailable where the device is missing.
    """

    name = "onnxruntime"
    precision = Precision.F32

    def __init__(self, template_graph: Path, search_graphs: Mapping[int, Path], device: str, threads: int = 1) -> None:
        kind, _, number = device.partition(":")
        self.device = device
        self._place = (kind, int(number or 0))
        self._providers = _providers(*self._place)
        self._template = session(template_graph, threads, self._providers)
        if kind == "cuda" and "CUDAExecutionProvider" not in self._template.get_providers():
            raise RuntimeUnavailable(f"ONNX Runtime cannot use {device}: is there such a GPU, with CUDA and cuDNN?")
        self._searches = {size: session(path, threads, self._providers) for size, path in search_graphs.items()}
        self._features = checked_features(template_graph, self._template, search_graphs, self._searches)
        self._one_by_one = has_fixed_batch(self._template)
        self._concatenation = cache(lambda count: self._small_session(_concatenation(count)))
        self._stacking = self._small_session(_stacking())

    def template(self, crops: NDArray[Any]) -> list[Features]:
        """Features of (N, Z, Z, 3) template crops, kept on the device."""
        return [
            tuple(self._run(self._template, {"crop": crops[row : row + 1]}, self._features))
            for row in range(len(crops))
        ]

    def joined(self, templates: Sequence[Features]) -> Features:
        """The first arrays of all templates stacked, the others from the first template."""
        (stacked,) = self._run(self._stacking, {"rows": self._concatenated([each[0] for each in templates])}, ["out"])
        return stacked, *templates[0][1:]

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """One run of the search graph of that size of crops; see the port for the shapes."""
        if self._one_by_one and len(crops) > 1:
            return arrays.row_by_row(self.search, features, crops, size, loop)
        columns = [self._concatenated(column) for column in zip(*features, strict=True)]
        inputs = dict(zip(self._features, columns, strict=True)) | {"crop": crops, "size": size, "loop": loop}
        best, peak2 = self._run(self._searches[crops.shape[1]], inputs, arrays.OUTPUTS, to_host=True)
        return Best(best.numpy(), peak2.numpy())

    def _concatenated(self, rows: Sequence[ort.OrtValue]) -> ort.OrtValue:
        """(1, ...) each -> (N, ...)."""
        if len(rows) == 1:
            return rows[0]
        inputs = {f"row_{i}": row for i, row in enumerate(rows)}
        (out,) = self._run(self._concatenation(len(rows)), inputs, ["out"])
        return out

    def _run(
        self, graph: ort.InferenceSession, inputs: Mapping[str, Any], outputs: Sequence[str], *, to_host: bool = False
    ) -> list[ort.OrtValue]:
        binding = graph.io_binding()
        for name, value in inputs.items():
            if isinstance(value, np.ndarray):
                binding.bind_cpu_input(name, value)
            else:
                binding.bind_ortvalue_input(name, value)
        for name in outputs:
            binding.bind_output(name, *(("cpu", 0) if to_host else self._place))
        graph.run_with_iobinding(binding)
        values: list[ort.OrtValue] = binding.get_outputs()
        return values

    def _small_session(self, model: bytes) -> ort.InferenceSession:
        return ort.InferenceSession(model, session_options(1), providers=list(self._providers))


def _providers(kind: str, number: int) -> list[Provider]:
    if kind == "cpu":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        raise RuntimeUnavailable("this ONNX Runtime is built without CUDA: pip install 'lockon[gpu]'")
    return [("CUDAExecutionProvider", _CUDA | {"device_id": str(number)}), "CPUExecutionProvider"]


def _concatenation(count: int) -> bytes:
    """A graph that puts `count` arrays behind one another along their first axis."""
    names = [f"row_{i}" for i in range(count)]
    return _model([helper.make_node("Concat", names, ["out"], axis=0)], names)


def _stacking() -> bytes:
    """A graph that gives an array a first axis of 1."""
    axes = helper.make_node("Constant", [], ["axes"], value_ints=[0])
    return _model([axes, helper.make_node("Unsqueeze", ["rows", "axes"], ["out"])], ["rows"])


def _model(nodes: Sequence[Any], inputs: Sequence[str]) -> bytes:
    kind = helper.make_tensor_type_proto(1, None)  # float32 of any shape
    values = [helper.make_value_info(name, kind) for name in (*inputs, "out")]
    graph = helper.make_graph(nodes, "rows", values[:-1], values[-1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR_VERSION)
    return bytes(model.SerializeToString())
