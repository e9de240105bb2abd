"""SiamRPN on AlexNet: shapes, the order of its candidates, batches."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
import torch

from models.networks.build import build
from models.networks.exporting import example
from models.networks.heads.anchors import decode_anchors
from models.networks.siamrpn import SiamRpn
from models.variants.pysot import VARIANTS
from tests.unit.models.networks.batches import assert_a_batch_gives_what_its_members_give_alone, settle

SPEC = VARIANTS["siamrpn_alexnet"]
SIDE = SPEC.crop.search_size
CELLS = 21
ANCHORS = 5


@pytest.fixture(scope="module")
def network() -> SiamRpn:
    torch.manual_seed(0)
    module = build(SPEC)
    settle(module, SPEC, SIDE)
    return cast("SiamRpn", module)


def test_features_outputs_and_maps_have_the_published_shapes(network: SiamRpn) -> None:
    template, search, *_ = example(SPEC, SIDE, 1)
    with torch.inference_mode():
        features = network.template(template)
        logits, deltas = network.outputs(features, search)
        score, boxes = network.decode((logits, deltas), SIDE)
    assert [tuple(kernel.shape) for kernel in features] == [(1, 256, 4, 4)] * 2
    assert logits.shape == (1, 2 * ANCHORS, CELLS, CELLS)
    assert deltas.shape == (1, 4 * ANCHORS, CELLS, CELLS)
    assert score.shape == (1, ANCHORS * CELLS * CELLS)
    assert boxes.shape == (1, 4, ANCHORS * CELLS * CELLS)
    assert 0 <= score.min() <= score.max() <= 1


def test_a_batch_gives_what_its_members_give_alone(network: SiamRpn) -> None:
    assert_a_batch_gives_what_its_members_give_alone(network, SPEC, SIDE)


def test_candidates_come_anchor_by_anchor_and_then_row_by_row(network: SiamRpn) -> None:
    logits, deltas = torch.zeros(1, 2 * ANCHORS, CELLS, CELLS), torch.zeros(1, 4 * ANCHORS, CELLS, CELLS)
    anchor, row, column = 3, 2, 7
    logits[0, ANCHORS + anchor, row, column] = 5
    deltas[0, anchor, row, column] = 0.5
    index = anchor * CELLS**2 + row * CELLS + column
    score, boxes = network.decode((logits, deltas), SIDE)
    assert score.argmax() == index
    x, y = network.grid(SIDE).cells[:, index]
    assert (x, y) == (143 - 80 + 8 * column, 143 - 80 + 8 * row)
    assert boxes[0, :, index].tolist() == [x + 0.5 * 40, y, 40, 80]


def test_untouched_anchors_are_boxes_around_their_cells(network: SiamRpn) -> None:
    raw = torch.zeros(1, 2 * ANCHORS, CELLS, CELLS), torch.zeros(1, 4 * ANCHORS, CELLS, CELLS)
    score, boxes = network.decode(raw, SIDE)
    np.testing.assert_array_equal(boxes[0, :2], network.grid(SIDE).cells)
    assert (score == 0.5).all()


def test_stretches_are_cut_where_there_is_a_limit() -> None:
    deltas, anchors = torch.full((1, 4, 1), 9.0), torch.ones(4, 1)
    assert decode_anchors(deltas, anchors, size_limit=1.0)[0, 2:].flatten().tolist() == pytest.approx([np.e, np.e])
    assert decode_anchors(deltas, anchors)[0, 2, 0].item() == pytest.approx(np.exp(9), rel=1e-5)
