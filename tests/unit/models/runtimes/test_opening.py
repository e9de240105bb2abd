"""Which runtimes can be had, and what is said of those that can't."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
import pytest
import torch

from models.runtimes import opening
from models.runtimes.base import GraphInvalid
from models.runtimes.dummy import DUMMY_SPEC
from models.runtimes.kinds import GraphFormat, Precision, RuntimeKind, RuntimeUnavailable
from models.runtimes.onnx_bound import BoundOnnxRuntime
from models.runtimes.opening import Graphs, graph_format, open_runtime, precision_of
from tests.runtimes import EXACT
from tests.unit.models.runtimes.test_runtimes import SIDE, flat, graphs


def test_each_runtime_reads_the_files_of_its_format() -> None:
    assert graph_format(RuntimeKind.ONNXRUNTIME) is graph_format(RuntimeKind.OPENVINO) is GraphFormat.ONNX
    assert graph_format(RuntimeKind.OPENVINO, Precision.BF16) is GraphFormat.ONNX
    assert graph_format(RuntimeKind.TORCHSCRIPT) is GraphFormat.TORCHSCRIPT
    assert graph_format(RuntimeKind.TORCHSCRIPT, Precision.F16) is GraphFormat.TORCHSCRIPT_F16


@pytest.mark.parametrize(
    ("kind", "library", "extra"),
    [(RuntimeKind.OPENVINO, "openvino", "openvino"), (RuntimeKind.TORCHSCRIPT, "torch", "train")],
)
def test_a_missing_library_is_told_with_the_extra_that_brings_it(
    kind: RuntimeKind, library: str, extra: str, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "find_spec", lambda name: None if name == library else object())
    with pytest.raises(RuntimeUnavailable, match=rf"needs {library}.*pip install 'lockon\[{extra}\]'"):
        open_runtime(graphs(EXACT[kind], tiny_folder), kind)


@pytest.mark.parametrize(
    ("kind", "device", "precision", "message"),
    [
        (RuntimeKind.OPENVINO, "cuda", Precision.F32, "openvino does not run on 'cuda' here, only on cpu"),
        (RuntimeKind.ONNXRUNTIME, "tpu", Precision.F32, "only on cpu and cuda"),
        (RuntimeKind.ONNXRUNTIME, "cpu", Precision.BF16, "onnxruntime has no bf16, only f32"),
        (RuntimeKind.OPENVINO, "cpu", Precision.F16, "only f32 and bf16"),
        (RuntimeKind.TORCHSCRIPT, "cpu", Precision.BF16, "only f32 and f16"),
    ],
)
def test_what_a_runtime_cannot_do_is_refused(
    kind: RuntimeKind, device: str, precision: Precision, message: str, tiny_folder: Path
) -> None:
    with pytest.raises(RuntimeUnavailable, match=message):
        open_runtime(graphs(EXACT[kind], tiny_folder), kind, device=device, precision=precision)


def test_onnx_runtime_without_cuda_names_the_extra(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(RuntimeUnavailable, match=r"pip install 'lockon\[gpu\]'"):
        open_runtime(graphs(EXACT["onnxruntime"], tiny_folder), device="cuda")


def test_a_gpu_that_is_not_there_is_told(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = graphs(EXACT["torchscript"], tiny_folder)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeUnavailable, match="finds no CUDA"):
        open_runtime(files, RuntimeKind.TORCHSCRIPT, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(RuntimeUnavailable, match="there is no cuda:1: torch finds 1"):
        open_runtime(files, RuntimeKind.TORCHSCRIPT, device="cuda:1")


def test_onnx_runtime_that_falls_back_to_the_processor_is_refused(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(RuntimeUnavailable, match="cannot use cuda:3"),
    ):
        BoundOnnxRuntime(*graphs(EXACT["onnxruntime"], tiny_folder), device="cuda:3")


@pytest.mark.parametrize("content", [b"", b"no graph"])
def test_a_file_that_is_no_torchscript_is_refused(tiny_folder: Path, tmp_path: Path, content: bytes) -> None:
    broken = tmp_path / "broken.ts"
    broken.write_bytes(content)
    with pytest.raises(GraphInvalid, match=r"broken\.ts"):
        open_runtime(Graphs(tiny_folder / "template.ts", {SIDE: broken}), RuntimeKind.TORCHSCRIPT)


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_features_in_main_memory_can_be_pickled(name: str, tiny_folder: Path) -> None:
    (features,) = EXACT[name].opened(graphs(EXACT[name], tiny_folder)).template(flat(7))
    for part, copy in zip(features, pickle.loads(pickle.dumps(features)), strict=True):
        assert part.base is None
        np.testing.assert_array_equal(part, copy)


def test_bf16_is_used_only_where_the_processor_has_it(tiny_folder: Path) -> None:
    runtime = open_runtime(graphs(EXACT["openvino"], tiny_folder), RuntimeKind.OPENVINO, precision=Precision.BF16)
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    has_bf16 = "avx512_bf16" in flags or "amx_bf16" in flags
    assert runtime.precision is (Precision.BF16 if has_bf16 else Precision.F32)


@pytest.mark.parametrize("kind", [RuntimeKind.ONNXRUNTIME, RuntimeKind.TORCHSCRIPT])
def test_a_runtime_without_bf16_leaves_a_model_in_f32_that_would_follow_in_it(kind: RuntimeKind) -> None:
    spec = replace(DUMMY_SPEC, bf16=True)
    assert precision_of("auto", kind, "cpu", spec) is Precision.F32
    assert precision_of("auto", RuntimeKind.OPENVINO, "cpu", spec) is Precision.BF16
    assert precision_of("auto", RuntimeKind.OPENVINO, "cuda", spec) is Precision.F32
    assert precision_of(Precision.F32, RuntimeKind.OPENVINO, "cpu", spec) is Precision.F32
