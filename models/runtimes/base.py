"""The port behind which every runtime executes a package's template and search graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from models.runtimes.kinds import Precision

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

Features: TypeAlias = tuple[Any, ...]
"""The template features of one target, in the order of the graph's outputs: arrays of the runtime's own kind, which may
lie on its device. Nobody else looks into them."""


class GraphInvalid(ValueError):
    """A file is no graph that the runtime can load, or its inputs and outputs are not those of the two graphs."""


class Best(NamedTuple):
    """What the search graph says of N targets."""

    best: FloatArray
    """(N, 8): cx, cy, w, h in crop pixels (before smoothing), score 0..1 of the chosen candidate, its penalty 0..1, its
    ranking (score after penalty and window) 0..1, and its index."""
    peak2: FloatArray
    """(N, 2): the runner-up's score 0..1 and its distance from the best in crop pixels."""


class Runtime(Protocol):
    """Runs one model's graphs. May be called from several threads at once.

    Crops are C-contiguous, BGR, uint8 or float32 as the model's family cuts them."""

    @property
    def name(self) -> str:
        """Short name, e.g. `onnxruntime`."""

    @property
    def device(self) -> str:
        """Where it computes, e.g. `cpu`."""

    @property
    def precision(self) -> Precision:
        """The numbers that it does compute in, which the processor has a say in."""

    def template(self, crops: NDArray[Any]) -> list[Features]:
        """Features of (N, Z, Z, 3) template crops, one entry per row."""

    def joined(self, templates: Sequence[Features]) -> Features:
        """The features of a target that remembers several templates: the first array of each, stacked on a new first
        axis, and the other arrays of the first template."""

    def search(self, features: Sequence[Features], crops: NDArray[Any], size: FloatArray, loop: FloatArray) -> Best:
        """Looks for N targets in (N, S, S, 3) search crops; S is one of the model's search sizes.

        size (N, 2): each target's w, h in crop pixels; loop (N, 3): penalty_k, window_influence, size_lr."""
