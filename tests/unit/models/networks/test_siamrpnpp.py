"""SiamRPN++: shapes and batches of both backbones."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest
import torch

from models.networks.build import build
from models.networks.siamrpn import SiamRpn
from models.spec import ModelSpec
from models.variants.pysot import VARIANTS
from tests.unit.models.networks.batches import assert_a_batch_gives_what_its_members_give_alone, settle

NAMES = ["siamrpnpp_r50", "siamrpnpp_r50_otb", "siamrpnpp_r50_longterm", "siamrpnpp_mobilenetv2"]


def unfilled(spec: ModelSpec) -> SiamRpn:
    """Layers without numbers, for questions about shapes."""
    with torch.device("meta"):
        module = build(spec).eval()
    return cast("SiamRpn", module.to("meta"))


@pytest.mark.parametrize("name", NAMES)
def test_kernels_outputs_and_maps_have_the_published_shapes(name: str) -> None:
    spec = VARIANTS[name]
    network = unfilled(spec)
    features = network.template(torch.empty(2, 127, 127, 3, device="meta"))
    assert [tuple(kernel.shape) for kernel in features] == [
        (2, channels, 5, 5) for channels in spec.network.channels for _ in range(2)
    ]
    for side, cells in zip(spec.search_sizes, (25, 97), strict=False):
        logits, deltas = network.outputs(features, torch.empty(2, side, side, 3, device="meta"))
        assert logits.shape == (2, 10, cells, cells)
        assert deltas.shape == (2, 20, cells, cells)
        score, boxes = network.decode((logits, deltas), side)
        assert score.shape == (2, 5 * cells**2)
        assert boxes.shape == (2, 4, 5 * cells**2)


@pytest.mark.parametrize("name", NAMES)
def test_levels_are_weighted_only_where_published(name: str) -> None:
    weights = {key for key, _ in unfilled(VARIANTS[name]).head.named_parameters(recurse=False)}
    assert weights == ({"score_weights", "box_weights"} if VARIANTS[name].network.weighted else set())


@pytest.mark.parametrize("name", ["siamrpnpp_r50_longterm", "siamrpnpp_mobilenetv2"])
def test_a_batch_gives_what_its_members_give_alone(name: str) -> None:
    side = 143  # cheaper than published
    published = VARIANTS[name]
    spec = replace(published, crop=replace(published.crop, search_size=side), long_term=None)
    torch.manual_seed(0)
    network = build(spec)
    settle(network, spec, side)
    assert_a_batch_gives_what_its_members_give_alone(cast("SiamRpn", network), spec, side)
