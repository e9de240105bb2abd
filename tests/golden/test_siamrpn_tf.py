"""SiamRPN-TF's conventions give what its own code gave, from TensorFlow's variables on."""

from __future__ import annotations

import functools
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from models.families.siamrpn_tf import RULES
from models.geometry import Box
from models.importing.siamrpn_tf import convert, recognises
from models.networks.build import Network
from models.networks.heads.upchannel import convolved
from models.networks.siamrpn import SiamRpn
from models.spec import CropSpec
from models.variants.siamrpn_tf import VARIANTS
from tests.golden.comparing import Row, Run, assert_near, assert_same_pixels, loaded, reversed_colours
from tests.golden.conftest import frame, golden

pytestmark = pytest.mark.shared

FOLDER = "siamrpn_tf"
SPEC = VARIANTS["siamrpn_tf"]
ANCHORS = 5
LAYERS = {0: "conv1", 4: "conv2", 8: "conv3", 11: "conv4", 14: "conv5"}
NORMS = {1: "bn1", 5: "bn2", 9: "bn3", 12: "bn4", 15: "bn5"}
PARTS = {
    "conv": {"weight": "weights", "bias": "biases"},
    "norm": {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"},
}
HEAD = {
    "conv_cls1": ("cls", "score_kernel"),
    "conv_cls2": ("cls", "score_search"),
    "conv_r1": ("regssion", "box_kernel"),
    "conv_r2": ("regssion", "box_search"),
    "regress_adjust": ("regssion", "box_adjust"),
}
"""TensorFlow's scope and our name of each layer."""


def tf_index(layer: str, count: int) -> NDArray[np.intp]:
    """Which of DaSiamRPN's channels each of TensorFlow's channels is: the `mapping` of spec.json, number by number."""
    maps = {"conv_cls1": 2 * ANCHORS, "conv_r1": 4 * ANCHORS}
    index = np.arange(count)
    if layer == "regress_adjust":
        anchor, side = np.divmod(np.arange(count), 4)
        return side * ANCHORS + anchor
    if layer not in maps:
        return index
    channel, answer = np.divmod(np.arange(count), maps[layer])
    anchor, part = np.divmod(answer, maps[layer] // ANCHORS)
    if layer == "conv_cls1":
        part = 1 - part
    return np.asarray((part * ANCHORS + anchor) * (count // maps[layer]) + channel)


def tf_variables(state: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The golden weights, which have DaSiamRPN's names and layout, as TensorFlow holds them."""
    variables = {}
    for key, value in state.items():
        layer, *number, part = key.split(".")
        if part == "num_batches_tracked":
            continue
        if number and int(number[0]) in NORMS:
            variables[f"featureExtract_alexnet/{NORMS[int(number[0])]}/{PARTS['norm'][part]}"] = value
            continue
        scope = f"featureExtract_alexnet/{LAYERS[int(number[0])]}" if number else f"{HEAD[layer][0]}/{layer}"
        array = value[tf_index(layer, len(value))]
        if array.ndim == 4:
            if layer == "regress_adjust":
                array = array[:, tf_index(layer, len(value))]
            array = array.transpose(2, 3, 1, 0)
        variables[f"{scope}/{PARTS['conv'][part]}"] = array
    return variables


@functools.cache
def network() -> Network:
    return loaded(SPEC, convert(tf_variables(golden(FOLDER).weights()), SPEC))


def test_the_constants_are_the_published_ones() -> None:
    config = golden(FOLDER).spec["config"]
    model, track = config["model"], config["track"]
    assert SPEC.crop.template_size == model["z_image_size"]
    assert SPEC.crop.search_size == track["x_image_size"] == model["x_image_size"]
    assert SPEC.network.stride == model["embed_config"]["stride"]
    loop = SPEC.loop
    assert (loop.penalty_k, loop.window_influence, loop.size_lr) == (
        track["penalty_k"], track["window_influence"], track["search_scale_smooth_factor"],
    )  # fmt: skip
    norms = [layer for layer in cast("SiamRpn", network()).modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {config["batch_norm_epsilon_effective"]}


def test_the_variables_tell_the_variant() -> None:
    variables = dict(golden(FOLDER).spec["tf_variables"])
    assert recognises({name: np.broadcast_to(0.0, shape) for name, shape in variables.items()}) == "siamrpn_tf"
    made = tf_variables(golden(FOLDER).weights())
    assert {name: list(value.shape) for name, value in made.items()} == variables


def test_what_the_optimiser_leaves_is_dropped_and_what_is_unknown_is_kept() -> None:
    bias, unknown = "cls/conv_cls2/biases", "other/thing"
    state = {name: np.zeros(2) for name in (f"{bias}:0", f"{bias}/Momentum", "global_step", unknown)}
    assert convert(state, SPEC).keys() == {"head.score_search.bias", unknown}


def test_the_order_of_axes_and_channels_is_proven_by_tensorflows_own_outputs() -> None:
    proof = golden(FOLDER).arrays("layout_proof.npz")
    variables = {name.removeprefix("tf:"): value for name, value in proof.items() if name.startswith("tf:")}
    ours = convert(variables, SPEC)
    for name, (_, layer) in HEAD.items():
        for part in ("weight", "bias"):
            np.testing.assert_array_equal(ours[f"head.{layer}.{part}"], proof[f"torch:{name}.{part}"])
    weights = {name.removeprefix("head."): torch.from_numpy(value) for name, value in ours.items()}
    template, search = (torch.from_numpy(proof[name]).permute(0, 3, 1, 2) for name in ("z_nhwc", "x_nhwc"))

    def answered(name: str, maps: Tensor) -> Tensor:
        return functional.conv2d(maps, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def compared(name: str) -> Tensor:
        maps = answered(f"{name}_search", search)
        kernel = torch.unflatten(answered(f"{name}_kernel", template), 1, (-1, maps.shape[1]))
        return convolved(kernel.movedim(2, -1), maps)

    logits, deltas = compared("score"), answered("box_adjust", compared("box"))
    tolerance = golden(FOLDER).spec["tolerance"]
    assert_near(logits, proof["torch_cls"], tolerance["network_cls_abs"])
    assert_near(deltas, proof["torch_reg"], tolerance["network_loc_abs"])
    by_cell = torch.unflatten(logits, 1, (2, ANCHORS)).permute(0, 3, 4, 2, 1).flip(-1)
    assert_near(by_cell, proof["pred_probs"], tolerance["network_cls_abs"])


def test_the_anchors_and_the_window_are_the_published_ones() -> None:
    expected, tolerance = golden(FOLDER).arrays("anchors.npz"), golden(FOLDER).spec["tolerance"]["anchors_abs"]
    grid = network().grid(SPEC.crop.search_size)
    decoder = cast("SiamRpn", network()).decoder
    size = SPEC.crop.search_size
    anchors = decoder.rule.anchors(size, decoder.map_sizes[size], decoder.stride)
    # Its decoder takes an anchor from x1 to x2 for x2 - x1 + 1 pixels wide, with the middle at half of that from x1.
    sizes = expected["anchors_xyxy"][:, 2:] - expected["anchors_xyxy"][:, :2] + 1
    assert_near(anchors[:, 2:], sizes, tolerance)
    assert_near(anchors[:, :2], expected["anchors_xyxy"][:, :2] + sizes / 2, tolerance)
    assert_near(grid.window, expected["window_as_in_code"], tolerance)


def test_the_network_gives_the_published_numbers() -> None:
    expected, tolerance = golden(FOLDER).arrays("network.npz"), golden(FOLDER).spec["tolerance"]
    template, search = (torch.from_numpy(reversed_colours(expected[name])) for name in ("z_rgb_nhwc", "x_rgb_nhwc"))
    with torch.inference_mode():
        logits, deltas = network().outputs(network().template(template), search)
        score, boxes = network().decode((logits, deltas), search.shape[1])
    assert_near(logits, expected["torch_layout_cls"], tolerance["network_cls_abs"])
    assert_near(deltas, expected["torch_layout_reg"], tolerance["network_loc_abs"])
    assert_near(score, expected["scores_fg"], tolerance["network_cls_abs"])
    first, last = np.split(expected["decoded_xyxy"][0].T, 2)
    # A box is its size times a delta away from an anchor of at most 112 px.
    assert_near(boxes[0], np.concatenate([(first + last) / 2, last - first]), 112 * tolerance["network_loc_abs"])


def test_crops_hold_the_published_pixels() -> None:
    vectors = golden(FOLDER)
    expected = vectors.arrays("crops.npz")
    picture = frame(str(expected["frame"]))
    for case in vectors.spec["crop_cases"]:
        spec = CropSpec(case["size_z"], case["size_x"], context_amount=0.5)
        place = Box.from_centre(*case["cxcywh"])
        window = RULES.search_window(place, spec, spec.search_size)
        assert window.side == case["side"]
        crop = np.empty((spec.search_size, spec.search_size, 3), np.uint8)
        RULES.cut(picture, window, crop, (0, 0, 0))
        assert_same_pixels(reversed_colours(crop), expected[case["case"]], vectors.spec["tolerance"], case["case"])


def test_the_template_is_the_middle_of_the_first_search_crop() -> None:
    picture, place = frame(1), RULES.start(Box(*golden(FOLDER).track()["start_box_xywh"]))
    template, search = (np.empty((size, size, 3), np.uint8) for size in (127, 255))
    RULES.cut_template(picture, place, SPEC.crop, (0, 0, 0), template)
    RULES.cut(picture, RULES.search_window(place, SPEC.crop, 255), search, (0, 0, 0))
    np.testing.assert_array_equal(template, search[64:191, 64:191])


def place_before(previous: Row, row: Row) -> Box:
    return Box.from_centre(*row["center_before"], *row["size_before"])


@pytest.mark.parametrize("place", [place_before, None], ids=["step_by_step", "freely"])
def test_our_loop_follows_the_published_track(place: Any) -> None:
    vectors = golden(FOLDER)
    tolerance = vectors.spec["tolerance"]
    run = Run(network(), SPEC, vectors.track())
    run.follow(tolerance["track_box_abs_px"], tolerance["track_score_abs"], place)
