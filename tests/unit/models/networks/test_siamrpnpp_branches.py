"""SiamRPN++ with separate branches: shapes, batches, how levels are joined."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch

from models.networks.build import build
from models.networks.siamrpnpp_branches import Questions, SiamRpnBranches
from models.variants.siamrpnpp_pytorch import VARIANTS
from tests.unit.models.networks.batches import assert_a_batch_gives_what_its_members_give_alone, assert_close, settle

SPEC = VARIANTS["siamrpnpp_r50_port"]


def unfilled() -> SiamRpnBranches:
    """Layers without numbers, for questions about shapes."""
    with torch.device("meta"):
        module = build(SPEC).eval()
    return cast("SiamRpnBranches", module.to("meta"))


def test_kernels_outputs_and_maps_have_the_published_shapes() -> None:
    network = unfilled()
    template, search = (torch.empty(2, side, side, 3, device="meta") for side in (127, 255))
    assert [tuple(level.shape) for level in network.template_levels(template)] == [(2, 256, 15, 15)] * 3
    features = network.template(template)
    assert [tuple(kernel.shape) for kernel in features] == [(2, 256, 7, 7)] * 6
    logits, deltas = network.outputs(features, search)
    assert logits.shape == (2, 10, 25, 25)
    assert deltas.shape == (2, 20, 25, 25)
    score, boxes = network.decode((logits, deltas), 255)
    assert score.shape == (2, 3125)
    assert boxes.shape == (2, 4, 3125)


def test_the_grid_lies_half_a_cell_off_the_middle() -> None:
    cells = unfilled().grid(255).cells - 127
    assert (float(cells.min()), float(cells.max())) == (-100, 92)


def test_a_batch_gives_what_its_members_give_alone() -> None:
    side = 143  # cheaper than published
    spec = replace(SPEC, crop=replace(SPEC.crop, search_size=side))
    torch.manual_seed(0)
    network = build(spec)
    settle(network, spec, side)
    assert_a_batch_gives_what_its_members_give_alone(cast("SiamRpnBranches", network), spec, side)


def test_every_output_joins_its_own_three_levels() -> None:
    torch.manual_seed(0)
    question = Questions((4, 4, 4), outputs=2).eval()
    maps = [torch.randn(1, 4, 9, 9) for _ in range(3)]
    with torch.inference_mode():
        kernels = question.template([each[:, :, 1:8, 1:8] for each in maps])
        answers = [level(*pair) for level, *pair in zip(question.levels, kernels, maps, strict=True)]
        weights, bias = question.fusion.weight[:, :, 0, 0], question.fusion.bias
        assert bias is not None
        expected = [sum(weights[o, i] * answers[i][:, o] for i in range(3)) + bias[o] for o in range(2)]
        assert_close(question(kernels, maps), torch.stack([torch.as_tensor(each) for each in expected], dim=1))
