"""SiamFC++: shapes, decoding by hand, batches, and several templates at once; for every backbone."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import cast

import pytest
import torch
from torch import nn

from models.networks.build import build
from models.networks.exporting import example
from models.networks.siamfcpp import SiamFCpp
from models.spec import MemorySpec
from models.variants.siamfcpp import VARIANTS
from tests.unit.models.networks.batches import assert_a_batch_gives_what_its_members_give_alone, settle

SIZES = {
    "siamfcpp_alexnet": (256, 4, 17, 9_655_380),
    "siamfcpp_googlenet": (256, 3, 19, 13_887_476),
    "siamfcpp_shufflenetv2_x0_5": (256, 6, 17, 6_135_092),
    "siamfcpp_shufflenetv2_x1_0": (256, 6, 17, 6_890_232),
    "siamfcpp_tinyconv": (64, 9, 17, 418_324),
}
"""Channels and side of the kernels, cells along a side of the map, parameters; measured on the original's code."""

backbones = pytest.mark.parametrize("name", SIZES, scope="module")


@functools.lru_cache(maxsize=1)
def network(name: str) -> SiamFCpp:
    torch.manual_seed(0)
    model = cast("SiamFCpp", build(VARIANTS[name]))
    settle(model, VARIANTS[name], VARIANTS[name].crop.search_size)
    # Else the exponential makes boxes of hundreds of pixels, in whose middle 1e-4 is less than single precision gives.
    nn.init.constant_(model.head.scale, 0.1)
    return model


@backbones
def test_features_outputs_and_maps_have_the_published_shapes(name: str) -> None:
    spec = VARIANTS[name]
    channels, kernel, cells, _ = SIZES[name]
    template, search, *_ = example(spec, spec.crop.search_size, 1)
    with torch.inference_mode():
        features = network(name).template(template)
        outputs = network(name).outputs(features, search)
        score, boxes = network(name).decode(outputs, spec.crop.search_size)
    assert [tuple(each.shape) for each in features] == [(1, channels, kernel, kernel)] * 2
    assert [tuple(each.shape) for each in outputs] == [(1, width, cells, cells) for width in (1, 1, 4)]
    assert score.shape == (1, cells**2)
    assert boxes.shape == (1, 4, cells**2)
    assert 0 <= score.min() <= score.max() <= 1
    assert (boxes[:, 2:] >= 1).all()


@backbones
def test_a_batch_gives_what_its_members_give_alone(name: str) -> None:
    spec = VARIANTS[name]
    assert_a_batch_gives_what_its_members_give_alone(network(name), spec, spec.crop.search_size)


@backbones
def test_the_number_of_parameters_is_the_published_one(name: str) -> None:
    assert sum(each.numel() for each in network(name).parameters()) == SIZES[name][3]


def test_distances_become_a_box_that_counts_pixels() -> None:
    logits, centreness = torch.full((1, 1, 17, 17), -9.0), torch.zeros(1, 1, 17, 17)
    exponents = 10 * torch.tensor([1.0, 2.0, 3.0, 4.0]).log().reshape(1, 4, 1, 1).repeat(1, 1, 17, 17)
    row, column = 2, 7
    logits[0, 0, row, column] = 9
    score, boxes = network("siamfcpp_tinyconv").decode((logits, centreness, exponents), 303)
    index = row * 17 + column
    assert score.argmax() == index
    assert score[0, index].item() == pytest.approx(0.5, abs=1e-3)
    x, y = 87 + 8 * column, 87 + 8 * row
    expected = (x + (24 - 8) / 2, y + (32 - 16) / 2, 8 + 24 + 1, 16 + 32 + 1)
    assert boxes[0, :, index].tolist() == pytest.approx(expected)


def test_scale_and_shift_stretch_the_distances() -> None:
    torch.manual_seed(0)
    head = cast("SiamFCpp", build(VARIANTS["siamfcpp_tinyconv"])).head
    with torch.no_grad():
        head.scale.fill_(2)
        head.shift.fill_(-1)
        assert head.distances(torch.ones(1, 4, 1, 1)).flatten().tolist() == pytest.approx([8 * 2.718282] * 4)


def test_the_wide_search_has_its_own_grid() -> None:
    with torch.device("meta"):
        model = cast("SiamFCpp", build(VARIANTS["siamfcpp_googlenet_longterm"]))
    assert model.grid(303).cells.shape == (2, 19 * 19)
    assert model.grid(399).cells.shape == (2, 31 * 31)


def test_several_templates_share_the_score_and_the_first_has_the_box() -> None:
    plain = network("siamfcpp_tinyconv")
    spec = replace(VARIANTS["siamfcpp_tinyconv"], memory=MemorySpec(length=3, interval=5, share=0.4))
    remembering = cast("SiamFCpp", build(spec).eval())
    remembering.load_state_dict(plain.state_dict())
    _, search, *_ = example(spec, 303, 2)
    with torch.inference_mode():
        templates = [plain.template(example(spec, 303, count).template[:2]) for count in (2, 3, 4)]
        stacked = torch.stack([template[0] for template in templates], dim=1)
        score, boxes = remembering.maps((stacked, templates[0][1]), search)
        alone = [plain.maps(template, search) for template in templates]
    expected = 0.6 * alone[0][0] + 0.4 * (alone[1][0] + alone[2][0]) / 2
    torch.testing.assert_close(score, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(boxes, alone[0][1], rtol=1e-4, atol=1e-4)
