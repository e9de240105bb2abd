"""SiamRPN++ with separate branches gives what SiamRPN_plus_plus_PyTorch's own code gave. It publishes no tracker."""

from __future__ import annotations

import functools
from typing import cast

import numpy as np
import pytest
import torch

from models.families.siamrpnpp_pytorch import RULES
from models.geometry import Box
from models.importing.siamrpnpp_pytorch import convert, recognises
from models.networks.siamrpnpp_branches import SiamRpnBranches
from models.spec import CropSpec
from models.variants.siamrpnpp_pytorch import VARIANTS
from tests.golden.comparing import as_crops, assert_near, assert_same_pixels, loaded
from tests.golden.conftest import frame, golden

pytestmark = pytest.mark.shared

FOLDER = "siamrpnpp_r50_port"
SPEC = VARIANTS[FOLDER]


@functools.cache
def network() -> SiamRpnBranches:
    return cast("SiamRpnBranches", loaded(SPEC, convert(golden(FOLDER).weights(), SPEC)))


def test_the_constants_are_the_published_ones() -> None:
    config = golden(FOLDER).spec["config"]
    assert SPEC.crop.template_size == config["exemplar_size"]
    assert SPEC.crop.search_size == config["instance_size"]
    assert SPEC.network.stride == config["total_stride"]
    assert network().decoder.map_sizes == {config["instance_size"]: config["response_map_size"]}


def test_the_keys_tell_the_variant() -> None:
    state_dict = golden(FOLDER).spec["state_dict"]
    assert recognises({key: np.broadcast_to(0.0, shape) for key, shape in state_dict}) == FOLDER


def test_the_anchors_are_the_published_ones() -> None:
    expected, tolerance = golden(FOLDER).arrays("anchors.npz"), golden(FOLDER).spec["tolerance"]["anchors_abs"]
    decoder, size = network().decoder, SPEC.crop.search_size
    anchors = decoder.rule.anchors(size, decoder.map_sizes[size], decoder.stride)
    assert_near(anchors - np.array([size // 2, size // 2, 0, 0]), expected["anchors_cxcywh"], tolerance)


def test_the_network_gives_the_published_numbers() -> None:
    expected, tolerance = golden(FOLDER).arrays("network.npz"), golden(FOLDER).spec["tolerance"]
    template, search = as_crops(expected["z"]), as_crops(expected["x"])
    with torch.inference_mode():
        levels = network().template_levels(template)
        logits, deltas = network().outputs(network().template(template), search)
        score, boxes = network().decode((logits, deltas), search.shape[1])
    for number, level in enumerate(levels):
        first = expected[f"tap_z{number + 3}"]
        assert_near(level[:, : first.shape[1]], first, tolerance["network_cls_abs"])
    assert_near(logits, expected["cls"], tolerance["network_cls_abs"])
    assert_near(deltas, expected["reg"], tolerance["network_loc_abs"])
    assert_near(score, expected["flat_cls_fg_softmax"], tolerance["network_cls_abs"])
    count = len(expected["flat_reg"])
    anchors = network().decoder.anchors_255[:, :count]  # type: ignore[index]
    moves = (boxes[0, :2, :count] - anchors[:2]) / anchors[2:]
    stretches = (boxes[0, 2:, :count] / anchors[2:]).log()
    assert_near(torch.cat([moves, stretches]).T, expected["flat_reg"], tolerance["network_loc_abs"])


def test_crops_hold_the_published_pixels() -> None:
    vectors = golden(FOLDER)
    expected = vectors.arrays("crops.npz")
    picture = frame(str(expected["frame"]))
    fill = RULES.fill(picture)
    assert fill == tuple(expected["mean"].tolist())
    for case in vectors.spec["crop_cases"]:
        spec = CropSpec(case["size_z"], case["size_x"], context_amount=0.5)
        crop = np.empty((spec.search_size, spec.search_size, 3), np.uint8)
        window = RULES.search_window(Box.from_centre(*case["cxcywh"]), spec, spec.search_size)
        RULES.cut(picture, window, crop, fill)
        assert_same_pixels(crop, expected[case["case"]], vectors.spec["tolerance"], case["case"])
