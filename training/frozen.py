"""The frozen shallow half of a backbone, run outside autograd: by ONNX Runtime on a CPU (three times faster there than
torch), by torch itself on a GPU."""

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


class _Shallow(nn.Module):
    def __init__(self, backbone: EfficientNetLite0) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, crops: Tensor) -> Tensor:
        return self.backbone.shallow(crops)


def shallow_features(backbone: EfficientNetLite0, device: torch.device) -> FeatureFunction:
    """A function (B, S, S, 3) uint8 -> (B, 40, S/8, S/8) float on `device`; with the weights as they are now."""
    module = _Shallow(backbone).eval()
    if device.type != "cpu":

        def with_torch(crops: Tensor) -> Tensor:
            with torch.no_grad():
                return module(crops)  # type: ignore[no-any-return]

        return with_torch
    session = _session(module)

    def with_onnxruntime(crops: Tensor) -> Tensor:
        (features,) = session.run(None, {"crops": crops.numpy()})
        return torch.from_numpy(features)

    return with_onnxruntime


def _session(module: nn.Module) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shallow.onnx"
        example = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
        with warnings.catch_warnings():
            # A trace is enough for plain convolutions, and takes a fiftieth of the newer exporter's nine seconds.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                (example,),
                path,
                input_names=["crops"],
                output_names=["features"],
                dynamic_axes={"crops": {0: "n", 1: "h", 2: "w"}},
                dynamo=False,
            )
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
