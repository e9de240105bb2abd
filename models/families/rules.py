"""What differs between the conventions of tracking loops: a few pure functions.

A target's *place* is the state of its loop: a `Box` whose centre and size are the loop's own numbers, in frame pixels.
What the client marks becomes a place by `start`, and a place becomes what the client is told by `report`; the published
code bases differ by half a pixel there, and reproduce their results only with their own halves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from models.crops import Colour, Window
from models.frames import FrameLike
from models.geometry import Box, Size
from models.runtimes.base import ByteArray
from models.spec import CropSpec


class FamilyRules(NamedTuple):
    """The functions of one family. `out` is (S, S, 3), C-contiguous, of `crop_type`."""

    crop_type: type[np.uint8] | type[np.float32]
    """Kind of numbers that crops are made of."""
    start: Callable[[Box], Box]
    """marked box -> place"""
    report: Callable[[Box], Box]
    """place -> box that the client is told"""
    fill: Callable[[ByteArray], Colour]
    """first frame -> colour of what lies outside the frame"""
    cut_template: Callable[[ByteArray, Box, CropSpec, Colour, NDArray[Any]], None]
    """frame, place, sizes, fill, out: cuts the template"""
    search_window: Callable[[Box, CropSpec, int], Window]
    """place, sizes, side of the search crop -> where to look"""
    cut: Callable[[FrameLike, Window, NDArray[Any], Colour], None]
    """frame, window, out, fill: cuts a search crop; a part of the frame that holds the window, with a pixel around it,
    gives the same crop"""
    measured: Callable[[Box, Box, Window, CropSpec, int], Box]
    """best box in crop pixels, place, window, sizes, side of the search crop -> the same box as a place"""
    penalty_size: Callable[[Box, Window, CropSpec, int, int], Size]
    """place, window, sizes, side of the search crop, frames followed so far -> the target's size in crop pixels"""
    rate: Callable[[float, float, float], float]
    """penalty, score, ranking -> how far the size follows the network, before size_lr"""
    fills_anew: bool = False
    """Whether `cut` goes by the colour of the whole of each frame, so that a part of it will not do."""
