"""mmtracking's conventions give what its own code gave: network, anchors, crops and tracks."""

from __future__ import annotations

import functools
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.families import siamrpnpp_mmtracking as family
from models.families.siamrpnpp_mmtracking import RULES
from models.geometry import Box
from models.importing.mmtracking import convert, recognises
from models.networks.build import Network
from models.networks.siamrpn import SiamRpn
from models.selection import select
from models.variants.mmtracking import VARIANTS
from tests.golden.comparing import Row, Run, as_crops, assert_near, loaded
from tests.golden.conftest import frame, golden

pytestmark = pytest.mark.shared

FOLDER = "siamrpnpp_r50_mmtracking"
SPEC = VARIANTS[FOLDER]


@functools.cache
def network() -> Network:
    return loaded(SPEC, convert(golden(FOLDER).weights(), SPEC))


def test_the_constants_are_the_published_ones() -> None:
    config = golden(FOLDER).spec["config"]
    test, head = config["model"]["test_cfg"], config["model"]["head"]
    crop, loop = SPEC.crop, SPEC.loop
    assert crop.template_size == test["exemplar_size"]
    assert crop.search_size == test["search_size"]
    assert crop.context_amount == test["context_amount"]
    rpn = test["rpn"]
    assert (loop.penalty_k, loop.window_influence, loop.size_lr) == (
        rpn["penalty_k"], rpn["window_influence"], rpn["lr"],
    )  # fmt: skip
    assert SPEC.network.stride == head["anchor_generator"]["strides"][0]
    assert list(SPEC.network.channels) == head["in_channels"]
    assert SPEC.network.weighted == head["weighted_sum"]


def test_the_keys_tell_the_variant() -> None:
    state_dict = golden(FOLDER).spec["state_dict"]
    assert recognises({key: np.broadcast_to(0.0, shape) for key, shape in state_dict}) == FOLDER


def test_the_anchors_and_the_window_are_the_published_ones() -> None:
    expected, tolerance = golden(FOLDER).arrays("anchors.npz"), golden(FOLDER).spec["tolerance"]["anchors_abs"]
    decoder, size = cast("SiamRpn", network()).decoder, SPEC.crop.search_size
    anchors = decoder.rule.anchors(size, decoder.map_sizes[size], decoder.stride)
    first, last = np.split(expected["anchors_xyxy"], 2, axis=1)
    assert_near(anchors[:, :2] - size // 2, (first + last) / 2, tolerance)
    assert_near(anchors[:, 2:], last - first, tolerance)
    assert_near(network().grid(size).window, expected["window"], tolerance)


def test_the_network_gives_the_published_numbers() -> None:
    expected, tolerance = golden(FOLDER).arrays("network.npz"), golden(FOLDER).spec["tolerance"]
    template, search = as_crops(expected["z"]), as_crops(expected["x"])
    model = cast("SiamRpn", network())
    with torch.inference_mode():
        levels = model.template_levels(template)
        logits, deltas = model.outputs(model.template(template), search)
        score, boxes = model.decode((logits, deltas), search.shape[1])
    for number, level in enumerate(levels):
        first = expected[f"tap_neck_z_center_{number}"]
        assert_near(level[:, : first.shape[1]], first, tolerance["network_cls_abs"])
    assert_near(logits, expected["cls"], tolerance["network_cls_abs"])
    assert_near(deltas, expected["reg"], tolerance["network_loc_abs"])
    assert_near(score, expected["score"], tolerance["network_cls_abs"])
    first, last = np.split(expected["boxes_xyxy_centered"].T, 2)
    middle = np.array([[search.shape[1] // 2]] * 2 + [[0]] * 2)
    # A box is its size times a delta away from an anchor of at most 104 px.
    ours = boxes[0].numpy() - middle
    assert_near(ours, np.concatenate([(first + last) / 2, last - first]), 104 * tolerance["network_loc_abs"])
    chosen = select_as_published(score.numpy(), boxes.numpy())
    assert_near(chosen[4], expected["get_bbox_best_score"], tolerance["network_cls_abs"])


def select_as_published(score: NDArray[np.float32], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """The best box for the previous box that the vectors name."""
    place = Box.from_centre(*golden(FOLDER).arrays("network.npz")["get_bbox_prev"].tolist())
    size, loop = SPEC.crop.search_size, SPEC.loop
    window = RULES.search_window(place, SPEC.crop, size)
    target = RULES.penalty_size(place, window, SPEC.crop, size, 1)
    constants = np.array([[loop.penalty_k, loop.window_influence, loop.size_lr]], np.float32)
    sizes = np.array([target], np.float32)
    chosen = select(score, boxes, sizes, constants, network().grid(size), SPEC.network.stride)
    return np.asarray(chosen.best[0])


def test_crops_hold_the_published_numbers() -> None:
    vectors = golden(FOLDER)
    expected, tolerance = vectors.arrays("crops.npz"), vectors.spec["tolerance"]["crop_abs"]
    picture = frame(str(expected["frame"]))
    fill = RULES.fill(picture)
    assert_near(np.array(fill), expected["avg_channel"], tolerance)
    for case in vectors.spec["crop_cases"]:
        crop = np.empty((case["out"], case["out"], 3), np.float32)
        cx, cy = case["center"]
        RULES.cut(picture, family.window_around(cx, cy, case["side"]), crop, fill)
        assert_near(crop.transpose(2, 0, 1), expected[f"{case['case']}_{case['kind']}"][0], tolerance)


def place_before(previous: Row, row: Row) -> Box:
    return Box.from_centre(*previous["cxcywh"])


@pytest.mark.slow
def test_each_step_from_the_published_state_gives_the_published_box() -> None:
    tolerance = golden(FOLDER).spec["tolerance"]
    run = Run(network(), SPEC, golden(FOLDER).track())
    run.follow(tolerance["track_box_abs_px"], tolerance["track_score_abs"], place_before)


@pytest.mark.parametrize("frames", [4, pytest.param(None, marks=pytest.mark.slow)])
def test_a_free_run_follows_the_published_track(frames: int | None) -> None:
    tolerance, track = golden(FOLDER).spec["tolerance"], golden(FOLDER).track()
    track["rows"] = track["rows"][:frames]
    run = Run(network(), SPEC, track)
    window = RULES.search_window(run.target.place, SPEC.crop, SPEC.crop.template_size)
    assert window.side == track["rows"][0]["crop_side"]
    run.follow(tolerance["track_box_abs_px"], tolerance["track_score_abs"])
