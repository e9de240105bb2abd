"""Checkpoints of SiamRPN-TF, whose variables are imported from an .npz; where TensorFlow is installed, write it with

    reader = tf.train.load_checkpoint("Logs/SiamRPN/track_model_checkpoints/SiamRPN")  # the folder or the prefix
    names = [name for name in reader.get_variable_to_shape_map() if name.split("/")[0] in ("featureExtract_alexnet", "cls", "regssion")]
    np.savez("siamrpn_tf.npz", **{name: reader.get_tensor(name) for name in names})

TensorFlow's arrays differ from ours in the order of their axes (HWIO, not OIHW), of colours (RGB), of answers (the
target is class 0) and of the channels of all that answers (anchor before class or side; in kernels the map's channel
before both). DaSiamRPN's order, which is ours, is proven for them by SiamRPN-TF's own outputs (golden tests).
"""  # noqa: E501

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.importing.renaming import renamed, renaming
from models.importing.upchannel import reads_bgr
from models.spec import ModelSpec

VARIANTS: tuple[str, ...] = ("siamrpn_tf",)

_ANCHORS = 5
_UNUSED = re.compile(r"(.*/)?(Momentum(_\d+)?|ExponentialMovingAverage|global_step)$")
"""What the optimiser leaves beside the weights."""

_NAMES = renaming(
    (r"featureExtract_alexnet/conv([1-5])/weights$", r"backbone.conv\1.conv.weight"),
    (r"featureExtract_alexnet/conv([1-5])/biases$", r"backbone.conv\1.conv.bias"),
    (r"featureExtract_alexnet/bn([1-5])/gamma$", r"backbone.conv\1.norm.weight"),
    (r"featureExtract_alexnet/bn([1-5])/beta$", r"backbone.conv\1.norm.bias"),
    (r"featureExtract_alexnet/bn([1-5])/moving_mean$", r"backbone.conv\1.norm.running_mean"),
    (r"featureExtract_alexnet/bn([1-5])/moving_variance$", r"backbone.conv\1.norm.running_var"),
    (r"cls/conv_cls1/", "head.score_kernel."),
    (r"cls/conv_cls2/", "head.score_search."),
    (r"regssion/conv_r1/", "head.box_kernel."),
    (r"regssion/conv_r2/", "head.box_search."),
    (r"regssion/regress_adjust/", "head.box_adjust."),
)
_ENDS = renaming((r"(head\.\w+\.)weights$", r"\1weight"), (r"(head\.\w+\.)biases$", r"\1bias"))


def recognises(state: Mapping[str, Any]) -> str | None:
    """The variant whose variables these are, or None."""
    needed = {"featureExtract_alexnet/conv1/weights", "cls/conv_cls1/weights", "regssion/regress_adjust/weights"}
    return "siamrpn_tf" if needed <= {_plain(name) for name in state} else None


def convert(state: Mapping[str, NDArray[Any]], spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """Our arrays under our keys; what has no place in the network keeps its own name."""
    used = {_plain(name): np.asarray(value) for name, value in state.items() if not _UNUSED.match(_plain(name))}
    ours = {renamed(name, _NAMES, _ENDS): value for name, value in used.items()}
    return reads_bgr({key: np.ascontiguousarray(_ordered(key, value)) for key, value in ours.items()})


def _plain(name: str) -> str:
    return name.removesuffix(":0")


def _ordered(key: str, value: NDArray[Any]) -> NDArray[Any]:
    """TensorFlow's order -> ours, where the last axis of both convolutions and biases holds the outputs."""
    if value.ndim not in (1, 4):
        return value
    if key.startswith("head.score_kernel."):
        # column c * 10 + a * 2 + k -> row ((1 - k) * 5 + a) * C + c
        value = _outputs_moved(value, (-1, _ANCHORS, 2), (2, 1, 0), flipped=True)
    elif key.startswith("head.box_kernel."):
        # column c * 20 + a * 4 + d -> row (d * 5 + a) * C + c
        value = _outputs_moved(value, (-1, _ANCHORS, 4), (2, 1, 0))
    elif key.startswith("head.box_adjust."):
        # a * 4 + d -> d * 5 + a
        value = _outputs_moved(value, (_ANCHORS, 4), (1, 0))
        if value.ndim == 4:
            value = _outputs_moved(value.swapaxes(2, 3), (_ANCHORS, 4), (1, 0)).swapaxes(2, 3)
    return value.transpose(3, 2, 0, 1) if value.ndim == 4 else value


def _outputs_moved(
    value: NDArray[Any], parts: tuple[int, ...], order: tuple[int, ...], flipped: bool = False
) -> NDArray[Any]:
    """The last axis taken apart, its parts (the last of them `flipped`) put together in another order."""
    leading = value.shape[:-1]
    apart = value.reshape(*leading, *parts)
    if flipped:
        apart = apart[..., ::-1]
    axes = (*range(len(leading)), *(len(leading) + part for part in order))
    return apart.transpose(axes).reshape(*leading, -1)
