"""The port behind which every runtime executes a package's template and search graphs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

ByteArray = NDArray[np.uint8]
FloatArray = NDArray[np.float32]

Features: TypeAlias = tuple[FloatArray, ...]
"""The template features of one target, without a batch axis, in the order of the graph's outputs."""


class Best(NamedTuple):
    """What the search graph says of N targets."""

    best: FloatArray
    """(N, 6): cx, cy, w, h in crop pixels (before smoothing), score 0..1 at the chosen cell, penalty 0..1."""
    peak2: FloatArray
    """(N, 2): the runner-up's score 0..1 and its distance from the best in crop pixels."""


class Runtime(Protocol):
    """Runs one model's two graphs. Crops are uint8, C-contiguous, BGR. May be called from several threads at once."""

    @property
    def name(self) -> str:
        """Short name, e.g. `onnxruntime`."""

    @property
    def device(self) -> str:
        """Where it computes, e.g. `cpu`."""

    def template(self, crops: ByteArray) -> list[Features]:
        """Features of (N, Z, Z, 3) template crops, one entry per row."""

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        """Looks for N targets in (N, S, S, 3) search crops.

        size (N, 2): each target's w, h in crop pixels; loop (N, 3): penalty_k, window_influence, size_lr."""
