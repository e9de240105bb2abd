"""Which runtime is chosen where there are several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.runtimes import opening, probing
from models.runtimes.base import Best, Features, FloatArray, GraphInvalid, Runtime
from models.runtimes.dummy import DUMMY_SPEC
from models.runtimes.kinds import Precision, RuntimeKind, RuntimeUnavailable
from models.runtimes.opening import Graphs, open_runtime
from models.runtimes.probing import Probe, fastest
from models.spec import ModelSpec
from tests.runtimes import EXACT
from tests.unit.models.runtimes.test_runtimes import SIDE, graphs

SPEC = replace(DUMMY_SPEC, crop=replace(DUMMY_SPEC.crop, template_size=SIDE, search_size=SIDE))


class Clock:
    """Time that passes only where a runtime lets it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        return self.now_s


class Priced:
    """A runtime whose searches take so many milliseconds, and whose boxes lie so far to the right."""

    def __init__(self, inner: Runtime, clock: Clock, price_ms: float, shift_px: float) -> None:
        self._inner, self._clock, self._price_ms, self._shift_px = inner, clock, price_ms, shift_px
        self.name, self.device, self.precision = inner.name, inner.device, inner.precision

    def template(self, crops: NDArray[Any]) -> list[Features]:
        return self._inner.template(crops)

    def joined(self, templates: Sequence[Features]) -> Features:
        return self._inner.joined(templates)

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        self._clock.now_s += self._price_ms / 1e3
        best, peak2 = self._inner.search(features, crops, size, loop)
        return Best(best + np.array([self._shift_px, 0, 0, 0, 0, 0, 0, 0], np.float32), peak2)


def _chosen(folder: Path, spec: ModelSpec = SPEC, **arguments: Any) -> tuple[Runtime, Probe | None]:
    wanted: dict[str, Any] = {"threads": 1, "device": "cpu", "precision": Precision.F32} | arguments
    return fastest(graphs(EXACT["onnxruntime"], folder), spec, **wanted)


@pytest.mark.parametrize(
    ("onnx_ms", "openvino_ms", "chosen"),
    [(4.0, 3.0, "openvino"), (4.0, 3.9, "onnxruntime"), (4.0, 5.0, "onnxruntime")],
)
def test_openvino_is_taken_where_it_is_clearly_faster(
    onnx_ms: float, openvino_ms: float, chosen: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime, probe = _priced(monkeypatch, tiny_folder, onnx_ms, openvino_ms)
    assert runtime.name == chosen
    assert probe is not None
    assert probe.search_ms == pytest.approx({RuntimeKind.ONNXRUNTIME: onnx_ms, RuntimeKind.OPENVINO: openvino_ms})
    assert probe.refused == {}


def test_a_faster_runtime_with_other_boxes_is_refused(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime, probe = _priced(monkeypatch, tiny_folder, 4.0, 1.0, shift_px=0.5)
    assert runtime.name == "onnxruntime"
    assert probe is not None
    assert list(probe.search_ms) == [RuntimeKind.ONNXRUNTIME]
    assert probe.refused == {RuntimeKind.OPENVINO: "its boxes differ by 0.5 px and 0 of the score"}


@pytest.mark.parametrize(("bf16", "chosen"), [(False, "onnxruntime"), (True, "openvino")])
def test_boxes_may_differ_in_bf16_where_a_model_follows_as_well_in_it(
    bf16: bool, chosen: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = replace(SPEC, bf16=bf16)
    runtime, _ = _priced(monkeypatch, tiny_folder, 4.0, 1.0, shift_px=0.5, spec=spec, precision="auto")
    assert (runtime.name, runtime.precision) == (chosen, Precision.BF16 if bf16 else Precision.F32)


def test_a_second_runtime_that_cannot_load_the_graphs_leaves_the_first(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(graphs: Graphs, kind: RuntimeKind, **arguments: Any) -> Runtime:
        if kind is RuntimeKind.OPENVINO:
            raise GraphInvalid("object is not initialized")
        return open_runtime(graphs, kind, **arguments)

    monkeypatch.setattr(probing, "open_runtime", opened)
    runtime, probe = _chosen(tiny_folder)
    assert runtime.name == "onnxruntime"
    assert probe is not None
    assert probe.refused == {RuntimeKind.OPENVINO: "object is not initialized"}


def test_where_there_is_no_choice_nothing_is_measured(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name == "openvino" else find_spec(name))
    runtime, probe = _chosen(tiny_folder)
    assert (runtime.name, probe) == ("onnxruntime", None)


def test_what_was_asked_for_can_leave_no_choice(tiny_folder: Path) -> None:
    runtime, probe = _chosen(tiny_folder, precision=Precision.BF16)
    assert (runtime.name, probe) == ("openvino", None)
    with pytest.raises(RuntimeUnavailable, match="no runtime for cpu in f16 is installed"):
        _chosen(tiny_folder, precision=Precision.F16)


def _priced(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    onnx_ms: float,
    openvino_ms: float,
    shift_px: float = 0.0,
    **wanted: Any,
) -> tuple[Runtime, Probe | None]:
    clock = Clock()

    def opened(graphs: Graphs, kind: RuntimeKind, **arguments: Any) -> Runtime:
        first = kind is RuntimeKind.ONNXRUNTIME
        runtime = open_runtime(graphs, kind, **arguments)
        priced = Priced(runtime, clock, onnx_ms if first else openvino_ms, 0.0 if first else shift_px)
        priced.precision = arguments["precision"]  # whatever this processor has
        return priced

    monkeypatch.setattr(probing, "open_runtime", opened)
    monkeypatch.setattr(probing, "time", clock)
    return _chosen(folder, **wanted)
