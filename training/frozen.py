"""What is frozen of a backbone, run outside autograd: by ONNX Runtime on a CPU (three times faster there than torch),
by torch itself on a GPU."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import onnxruntime  # type: ignore[import-untyped]
import torch
from torch import Tensor, nn

from models.networks.backbones.efficientnet_lite import EfficientNetLite0

FeatureFunction = Callable[[Tensor], Tensor]
Features = Callable[[Tensor], list[Tensor]]


class _Shallow(nn.Module):
    def __init__(self, backbone: EfficientNetLite0) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, crops: Tensor) -> tuple[Tensor]:
        return (self.backbone.shallow(crops),)


def shallow_features(backbone: EfficientNetLite0, device: torch.device) -> FeatureFunction:
    """A function (B, S, S, 3) uint8 -> (B, 40, S/8, S/8) float on `device`; with the weights as they are now."""
    run = _frozen(_Shallow(backbone), ["stride8"], device)

    def features(crops: Tensor) -> Tensor:
        (stride8,) = run(crops)
        return stride8

    return features


def backbone_features(backbone: EfficientNetLite0, device: torch.device) -> Features:
    """A function (B, S, S, 3) uint8 -> [(B, 40, S/8, S/8), (B, 112, S/16, S/16)]; with the weights as they are now."""
    return _frozen(backbone, ["stride8", "stride16"], device)


def _frozen(module: nn.Module, outputs: list[str], device: torch.device) -> Features:
    module = module.to(device).eval()
    if device.type != "cpu":

        def with_torch(crops: Tensor) -> list[Tensor]:
            with torch.no_grad():
                return list(module(crops))

        return with_torch
    session = _session(module, outputs)

    def with_onnxruntime(crops: Tensor) -> list[Tensor]:
        return [torch.from_numpy(each) for each in session.run(None, {"crops": crops.numpy()})]

    return with_onnxruntime


def _session(module: nn.Module, outputs: list[str]) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "frozen.onnx"
        example = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
        with warnings.catch_warnings():
            # A trace is enough for plain convolutions, and takes a fiftieth of the newer exporter's nine seconds.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (example,),
                path,
                input_names=["crops"],
                output_names=outputs,
                dynamic_axes={"crops": {0: "n", 1: "h", 2: "w"}},
                dynamo=False,
            )
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
