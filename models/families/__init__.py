"""What differs between families of trackers: a few pure functions each, in one closed table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from models.crops import Window
from models.families import siamfcpp
from models.geometry import Box
from models.spec import CropSpec, Family, LoopSpec


class FamilyRules(NamedTuple):
    """The functions of one family; boxes are in frame pixels unless a name says crop."""

    template_window: Callable[[Box, CropSpec], Window]
    """target -> what to cut as its template"""
    search_window: Callable[[Box, CropSpec], Window]
    """target -> where to look for it in the next frame"""
    to_frame: Callable[[Box, Window, CropSpec], Box]
    """box in crop pixels, the crop's window -> box in frame pixels"""
    smooth: Callable[[Box, Box, float, float, LoopSpec], Box]
    """previous box, measured box, penalty 0..1, score 0..1 -> new box"""


FAMILIES: Mapping[Family, FamilyRules] = MappingProxyType(
    {
        Family.SIAMFCPP: FamilyRules(
            template_window=siamfcpp.template_window,
            search_window=siamfcpp.search_window,
            to_frame=siamfcpp.to_frame,
            smooth=siamfcpp.smooth,
        )
    }
)
