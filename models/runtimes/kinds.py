"""Which runtimes exist, in which numbers they compute, and which files of a package they read."""

from __future__ import annotations

from enum import StrEnum


class RuntimeUnavailable(RuntimeError):
    """A runtime can't be had: its library or its device is missing, or it lacks that precision; the message says what
    helps."""


class RuntimeKind(StrEnum):
    """Runtimes that execute a package's graphs."""

    ONNXRUNTIME = "onnxruntime"
    """ONNX Runtime on the processor or, with the extra `gpu`, on CUDA"""
    OPENVINO = "openvino"
    """OpenVINO on the processor; the extra `openvino`"""
    TORCHSCRIPT = "torchscript"
    """TorchScript on the processor or on CUDA; needs torch"""


class Precision(StrEnum):
    """Numbers that a runtime computes the network in."""

    F32 = "f32"
    """the same boxes everywhere"""
    BF16 = "bf16"
    """OpenVINO, where the processor has it (avx512_bf16 or amx_bf16); f32 elsewhere"""
    F16 = "f16"
    """TorchScript, for CUDA; boxes are decoded and chosen in f32 all the same"""


class GraphFormat(StrEnum):
    """Files that `lockon export` writes."""

    ONNX = "onnx"
    """for ONNX Runtime and OpenVINO"""
    TORCHSCRIPT = "torchscript"
    """for TorchScript"""
    TORCHSCRIPT_F16 = "torchscript-f16"
    """for TorchScript in half precision"""

    @property
    def suffix(self) -> str:
        """How the files' names end: `template.onnx`, `search.ts`, `search_831.f16.ts`."""
        return _SUFFIXES[self]


_SUFFIXES = {GraphFormat.ONNX: "onnx", GraphFormat.TORCHSCRIPT: "ts", GraphFormat.TORCHSCRIPT_F16: "f16.ts"}
