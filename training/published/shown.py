"""What the published ways to cut a pair have in common."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.random import Generator, RandomState
from numpy.typing import NDArray

from models.geometry import Box

Draws = Generator | RandomState
"""Both draw the same kinds of numbers; published ones were drawn by the latter."""
Crops = tuple[NDArray[np.uint8], NDArray[np.uint8]]
"""Where the template crop (Z, Z, 3) and the search crop (S, S, 3) are put."""


class Shown(NamedTuple):
    """A target in its picture."""

    picture: NDArray[np.uint8]
    """(H, W, 3) BGR."""
    box: Box
