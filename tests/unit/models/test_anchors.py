"""Anchors by hand: sizes, orders, places."""

from __future__ import annotations

import numpy as np
import pytest

from models.anchors import ANCHOR_RULES, AnchorRule
from models.grids import exact_shapes, published_window, separately_truncated_shapes, truncated_shapes
from models.spec import Family

SIDE, CELLS, STRIDE, SHAPES = 255, 25, 8, 5


def test_the_height_follows_the_truncated_width() -> None:
    assert truncated_shapes(8).tolist() == [[104, 32], [88, 40], [64, 64], [40, 80], [32, 96]]


def test_width_and_height_are_truncated_each_for_itself() -> None:
    assert separately_truncated_shapes(8).tolist() == [[104, 32], [88, 40], [64, 64], [40, 88], [32, 104]]


def test_exact_shapes_all_have_the_area_of_the_square() -> None:
    np.testing.assert_allclose(exact_shapes(8).prod(axis=1), 64 * 64, rtol=1e-6)


def test_both_orders_hold_the_same_anchors() -> None:
    by_shape = AnchorRule(truncated_shapes).anchors(SIDE, CELLS, STRIDE)
    by_cell = AnchorRule(truncated_shapes, by_cell=True).anchors(SIDE, CELLS, STRIDE)
    shape, row, column = 3, 2, 7
    expected = [31 + 8 * column, 31 + 8 * row, 40, 80]
    assert by_shape[shape * CELLS**2 + row * CELLS + column].tolist() == expected
    assert by_cell[(row * CELLS + column) * SHAPES + shape].tolist() == expected
    assert sorted(by_shape.tolist()) == sorted(by_cell.tolist())


@pytest.mark.parametrize("by_cell", [False, True])
def test_each_candidate_lies_under_its_own_place_in_the_window(by_cell: bool) -> None:
    grid = AnchorRule(truncated_shapes, by_cell=by_cell, window_by_cell=by_cell).grid(SIDE, CELLS, STRIDE)
    column, row = ((grid.cells - 31) / STRIDE).astype(int)
    np.testing.assert_array_equal(grid.window, published_window(CELLS)[row, column])


@pytest.mark.parametrize(
    ("family", "middle"),
    [
        (Family.SIAMRPN, 127),
        (Family.SIAMRPNPP_MMTRACKING, 127),
        (Family.SIAMRPNPP_PYTORCH, 123),
        (Family.SIAMRPN_TF, 131.5),
    ],
)
def test_the_middle_cell_lies_where_each_code_base_has_it(family: Family, middle: float) -> None:
    anchors = ANCHOR_RULES[family].anchors(SIDE, CELLS, STRIDE)
    assert np.median(anchors[:, 0]) == np.median(anchors[:, 1]) == middle
