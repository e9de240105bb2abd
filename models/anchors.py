"""Where each published code base places its anchors, and in which order their outputs follow each other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from models.grids import (
    ANCHOR_RATIOS,
    Grid,
    anchored,
    anchors_by_cell,
    anchors_by_shape,
    exact_shapes,
    line,
    separately_truncated_shapes,
    truncated_shapes,
    window_by_cell,
    window_by_shape,
)
from models.runtimes.base import FloatArray
from models.spec import Family


class AnchorRule(NamedTuple):
    """The anchors of one code base."""

    shapes: Callable[[int], FloatArray]
    """stride -> (A, 2) w, h"""
    by_cell: bool = False
    """Order of the candidates: all shapes of one cell together, else all cells of one shape together."""
    window_by_cell: bool = False
    """Order of the window."""
    shift: float = 0.0
    """How far all anchors lie to the right of and below the grid of `models.grids.line`, in search crop pixels."""
    size_limit: float | None = None
    """|dw| and |dh| are cut to this before exp."""

    def anchors(self, search_size: int, map_size: int, stride: int) -> FloatArray:
        """(N, 4) cx, cy, w, h in search crop pixels."""
        positions = line(search_size, map_size, stride) + self.shift
        arrange = anchors_by_cell if self.by_cell else anchors_by_shape
        return arrange(positions, self.shapes(stride))

    def grid(self, search_size: int, map_size: int, stride: int) -> Grid:
        """The candidates of a search crop of that side."""
        window = window_by_cell if self.window_by_cell else window_by_shape
        return anchored(self.anchors(search_size, map_size, stride), window(map_size, len(ANCHOR_RATIOS)))


def _widened_exact_shapes(stride: int) -> FloatArray:
    """SiamRPN-TF, utils/bbox_ops_utils.py: widths and heights are taken as last - first + 1 of exclusive ends."""
    return exact_shapes(stride) + 1


_PYSOT = AnchorRule(truncated_shapes)

ANCHOR_RULES: Mapping[Family, AnchorRule] = MappingProxyType(
    {
        Family.SIAMRPN: _PYSOT,
        Family.DASIAMRPN: _PYSOT,
        Family.SIAMRPN_PYTORCH: _PYSOT,
        # The limit is |ln(16 / 1000)|: mmdet, delta_xywh_bbox_coder.py.
        Family.SIAMRPNPP_MMTRACKING: AnchorRule(
            separately_truncated_shapes, by_cell=True, window_by_cell=True, size_limit=4.135166556742356
        ),
        # utils/generate_anchors.py halves the map's side before it is cut to a whole number: half a cell too far.
        Family.SIAMRPNPP_PYTORCH: AnchorRule(truncated_shapes, shift=-4.0),
        # model/generate_anchors.py; its window is in another order than its candidates, and the results depend on it.
        Family.SIAMRPN_TF: AnchorRule(_widened_exact_shapes, by_cell=True, shift=4.5),
    }
)
