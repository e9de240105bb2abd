"""Weights that a backbone begins with: an ImageNet classifier's, another tracker's, or a package's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from models.importing import pysot, siamrpnpp_pytorch, video_analyst
from models.importing.checkpoints import read_state
from models.importing.origins import origin_of, recognised
from models.package import MANIFEST, WEIGHTS
from models.spec import ModelSpec, SpecInvalid
from models.variants import VARIANTS

State = Mapping[str, NDArray[Any]]

_BACKBONES = ("backbone.", "template_backbone.", "search_backbone.")
_PREFIXES = ("", "module.", "model.", "backbone.", "features.")
"""What training code puts before a classifier's names."""
_COUNTER = "num_batches_tracked"


def _named(names: Callable[[State, ModelSpec], Mapping[str, NDArray[Any]]], variant: str, before: str) -> Any:
    """Renames a bare classifier, as if it were the backbone of that tracker."""
    return lambda state: names({before + key: value for key, value in state.items()}, VARIANTS[variant])


_READINGS: tuple[Callable[[State], Mapping[str, NDArray[Any]]], ...] = (
    # Names of torchvision and timm: ResNet, Inception v3, ShuffleNetV2; of pysot's and video_analyst's AlexNet.
    _named(pysot.convert, "siamrpnpp_r50", "backbone."),
    _named(pysot.convert, "siamrpnpp_mobilenetv2", "backbone."),
    _named(pysot.convert, "siamrpn_alexnet", "backbone."),
    _named(pysot.convert, "siamrpn_alexnet", "backbone.features."),
    _named(video_analyst.convert, "siamfcpp_alexnet", "basemodel."),
    _named(video_analyst.convert, "siamfcpp_googlenet", "basemodel."),
    _named(video_analyst.convert, "siamfcpp_shufflenetv2_x1_0", "basemodel._model."),
    _named(siamrpnpp_pytorch.convert, "siamrpnpp_r50_port", "search_region_branch."),
)


def load_backbone(network: nn.Module, path: Path) -> str:
    """Fills the network's backbones with what fits by name and shape; returns a line that says how much did.

    `path`: a state dict of torch or safetensors, or the folder of a package. Raises CheckpointInvalid for a file that
    is none, and SpecInvalid if nothing of it fits."""
    state = read_state(path / WEIGHTS if (path / MANIFEST).is_file() else path)
    own = {key: value for key, value in network.state_dict().items() if key.startswith(_BACKBONES)}
    shapes = {key: tuple(value.shape) for key, value in own.items() if not key.endswith(_COUNTER)}
    fitting, misshapen = max(
        (_fitting(reading, shapes) for reading in _readings(state)), key=lambda found: len(found[0])
    )
    if not fitting:
        some = ", ".join(list(state)[:4])
        raise SpecInvalid(f"{path}: none of its {len(state)} arrays ({some}, ...) fits the backbone")
    tensors = {key: torch.from_numpy(np.ascontiguousarray(array)) for key, array in fitting.items()}
    network.load_state_dict(tensors, strict=False)
    left = [key for key in shapes if key not in fitting]
    told = f"{path.name}: {len(fitting)} of the backbone's {len(shapes)} arrays"
    if misshapen:
        told += f"; {len(misshapen)} have another shape ({', '.join(misshapen[:4])})"
    return told + (f"; {len(left)} begin with noise ({', '.join(left[:4])})" if left else "")


def _readings(state: State) -> Iterator[Mapping[str, NDArray[Any]]]:
    """The arrays under our names, as far as each way to read them gives any."""
    yield state  # a package of ours
    if (variant := recognised(dict(state))) is not None:
        yield origin_of(variant).names.convert(dict(state), VARIANTS[variant])
    for prefix in _PREFIXES:
        bare = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        for reading in _READINGS if bare else ():
            yield reading(bare)


def _fitting(
    found: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]]
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Arrays for the backbone, and the names of those with another shape. What is found for one backbone fills every
    one of a network that has two."""
    fitting: dict[str, NDArray[Any]] = {}
    misshapen: list[str] = []
    for key, shape in shapes.items():
        _, layer = key.split(".", 1)
        array = next((found[name] for name in (key, *(before + layer for before in _BACKBONES)) if name in found), None)
        if array is not None and array.shape == shape:
            fitting[key] = np.asarray(array)
        elif array is not None:
            misshapen.append(key)
    return fitting, misshapen
