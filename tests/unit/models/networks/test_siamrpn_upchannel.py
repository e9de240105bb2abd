"""SiamRPN of 2018: its correlation, shapes of both widths, batches."""

from __future__ import annotations

from typing import cast

import pytest
import torch
from torch import nn
from torch.nn import functional

from models.networks.build import build
from models.networks.heads.upchannel import convolved
from models.networks.siamrpn import SiamRpn
from models.spec import ModelSpec
from models.variants import VARIANTS
from tests.random_networks import lively_network
from tests.unit.models.networks.batches import assert_a_batch_gives_what_its_members_give_alone, assert_close

ANCHORS = 5


def unfilled(spec: ModelSpec) -> SiamRpn:
    """Layers without numbers, for questions about shapes."""
    with torch.device("meta"):
        module = build(spec).eval()
    return cast("SiamRpn", module.to("meta"))


def test_each_sample_is_convolved_with_its_own_kernel() -> None:
    torch.manual_seed(0)
    kernel, search = torch.randn(3, 10, 8, 4, 3), torch.randn(3, 8, 9, 11)
    together = convolved(kernel.movedim(2, -1), search)
    alone = [functional.conv2d(search[i : i + 1], kernel[i]) for i in range(3)]
    assert_close(together, torch.cat(alone))


@pytest.mark.parametrize(
    ("name", "side", "cells"),
    [
        ("dasiamrpn_vot", 271, 19),
        ("dasiamrpn_big", 271, 19),
        ("dasiamrpn_big", 287, 21),
        ("siamrpn_huanglianghua", 287, 21),
        ("siamrpn_upchannel_pysot", 255, 17),
        ("siamrpn_tf", 255, 17),
    ],
)
def test_kernels_outputs_and_maps_have_the_published_shapes(name: str, side: int, cells: int) -> None:
    spec = VARIANTS[name]
    network, (channels,) = unfilled(spec), spec.network.channels
    features = network.template(torch.empty(2, 127, 127, 3, device="meta"))
    assert [tuple(kernel.shape) for kernel in features] == [
        (2, outputs * ANCHORS, 4, 4, channels) for outputs in (2, 4)
    ]
    logits, deltas = network.outputs(features, torch.empty(2, side, side, 3, device="meta"))
    assert logits.shape == (2, 2 * ANCHORS, cells, cells)
    assert deltas.shape == (2, 4 * ANCHORS, cells, cells)
    score, boxes = network.decode((logits, deltas), side)
    assert score.shape == (2, ANCHORS * cells**2)
    assert boxes.shape == (2, 4, ANCHORS * cells**2)
    assert network.grid(side).cells.shape == (2, ANCHORS * cells**2)


def test_a_batch_gives_what_its_members_give_alone() -> None:
    spec = VARIANTS["siamrpn_upchannel_pysot"]
    network = cast("SiamRpn", lively_network(spec))
    assert_a_batch_gives_what_its_members_give_alone(network, spec, spec.crop.search_size)


@pytest.mark.parametrize(("name", "epsilon"), [("siamrpn_tf", 1e-6), ("dasiamrpn_vot", 1e-5)])
def test_norms_have_the_published_epsilon(name: str, epsilon: float) -> None:
    norms = [layer for layer in unfilled(VARIANTS[name]).modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {epsilon}


def test_candidates_of_the_tensorflow_port_come_cell_by_cell_under_a_window_in_another_order() -> None:
    grid = unfilled(VARIANTS["siamrpn_tf"]).grid(255)
    assert (grid.cells[:, :ANCHORS] == grid.cells[:, :1]).all()
    middle = 8 * 17 + 8
    assert grid.cells[:, middle * ANCHORS].tolist() == [131.5, 131.5]
    assert grid.window[middle] == 1
    assert grid.window[middle * ANCHORS] < 1
