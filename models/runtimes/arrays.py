"""What runtimes share whose template features are numpy arrays in main memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.runtimes.base import Best, Features, FloatArray, GraphInvalid

FEATURE_PREFIX = "features_"
OUTPUTS = ["best", "peak2"]


def feature_names(graph: object, inputs: Sequence[str], outputs: Sequence[str]) -> list[str]:
    """Names of the template features, in order; raises GraphInvalid if `graph` is no template graph."""
    wanted = [f"{FEATURE_PREFIX}{i}" for i in range(len(outputs))]
    _require(graph, "inputs", inputs, ["crop"])
    _require(graph, "outputs", outputs, wanted)
    return wanted


def require_search(graph: object, inputs: Sequence[str], outputs: Sequence[str], features: Sequence[str]) -> None:
    """Raises GraphInvalid if `graph` is no search graph for these template features."""
    _require(graph, "inputs", inputs, [*features, "crop", "size", "loop"])
    _require(graph, "outputs", outputs, OUTPUTS)


def joined(templates: Sequence[Features]) -> Features:
    """The first arrays of all templates stacked, the others from the first template."""
    return np.stack([template[0] for template in templates]), *templates[0][1:]


def batched(features: Sequence[Features]) -> list[NDArray[Any]]:
    """The features of N targets as arrays with a batch axis; those of one target are not copied."""
    if len(features) == 1:
        return [array[None] for array in features[0]]
    return [np.stack(column) for column in zip(*features, strict=True)]


def row_by_row(
    search: Callable[[Sequence[Features], NDArray[Any], FloatArray, FloatArray], Best],
    features: Sequence[Features],
    crops: NDArray[Any],
    size: FloatArray,
    loop: FloatArray,
) -> Best:
    """What `search` says of N targets, asked for one at a time."""
    rows = [slice(row, row + 1) for row in range(len(crops))]
    answers = [search(features[row], crops[row], size[row], loop[row]) for row in rows]
    return Best(*(np.concatenate(column) for column in zip(*answers, strict=True)))


def _require(graph: object, what: str, found: Sequence[str], wanted: Sequence[str]) -> None:
    if sorted(found) != sorted(wanted):
        raise GraphInvalid(f"{graph}: the {what} are {', '.join(sorted(found))}; expected {', '.join(sorted(wanted))}")
