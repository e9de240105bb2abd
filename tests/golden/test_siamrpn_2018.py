"""SiamRPN of 2018 gives what DaSiamRPN's own code gave; its network, what three code bases gave for it."""

from __future__ import annotations

import functools
import json
from types import ModuleType
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.families import dasiamrpn as family
from models.geometry import Box
from models.importing import dasiamrpn, pysot_upchannel, siamrpn_pytorch
from models.networks.build import Network, build
from models.networks.siamrpn import SiamRpn
from models.variants.siamrpn_2018 import VARIANTS
from tests.golden.comparing import Row, Run, as_crops, assert_near, assert_same_pixels, loaded, reversed_colours
from tests.golden.conftest import frame, golden

pytestmark = pytest.mark.shared

FOLDER = "siamrpn_alexnet_upchannel"
SPEC = VARIANTS["dasiamrpn_vot"]
OTHERS: dict[str, tuple[str, ModuleType]] = {
    "huanglianghua": ("siamrpn_huanglianghua", siamrpn_pytorch),
    "pysot_upchannel": ("siamrpn_upchannel_pysot", pysot_upchannel),
    "dasiamrpn_big": ("dasiamrpn_big", dasiamrpn),
}


@functools.cache
def network() -> Network:
    return loaded(SPEC, dasiamrpn.convert(golden(FOLDER).weights(), SPEC))


def test_the_constants_are_the_published_ones() -> None:
    config = golden(FOLDER).spec["config"]
    assert SPEC.crop.template_size == config["exemplar_size"]
    assert SPEC.crop.search_size == config["instance_size"]
    assert SPEC.crop.context_amount == config["context_amount"]
    loop = SPEC.loop
    assert (loop.penalty_k, loop.window_influence, loop.size_lr) == (
        config["penalty_k"], config["window_influence"], config["lr"],
    )  # fmt: skip
    assert SPEC.network.stride == config["total_stride"]
    assert SPEC.network.channels == (config["feature_out"],)
    assert (SPEC.small_target is not None) == config["adaptive"]


def other_specs() -> dict[str, Any]:
    specs: dict[str, Any] = json.loads((golden(FOLDER).folder / "spec_other_keys.json").read_text())
    return specs


def without_values(state_dict: list[Any]) -> dict[str, NDArray[Any]]:
    return {key: np.broadcast_to(0.0, shape) for key, shape in state_dict}


def test_the_keys_tell_the_variant() -> None:
    assert dasiamrpn.recognises(without_values(golden(FOLDER).spec["state_dict"])) == "dasiamrpn_vot"
    for name, (variant, origin) in OTHERS.items():
        state = without_values(other_specs()[name]["state_dict"])
        known_to = [each for each in (dasiamrpn, pysot_upchannel, siamrpn_pytorch) if each.recognises(state)]
        assert known_to == [origin]
        assert origin.recognises(state) == variant


@pytest.mark.parametrize("prefix", ["", "adaptive_"])
def test_the_anchors_are_the_published_ones(prefix: str) -> None:
    expected, tolerance = golden(FOLDER).arrays("anchors.npz"), golden(FOLDER).spec["tolerance"]["anchors_abs"]
    spec = VARIANTS["dasiamrpn_big"]
    with torch.device("meta"):
        decoder = cast("SiamRpn", build(spec)).decoder
    size = spec.search_sizes[1 if prefix else 0]
    map_size = int(expected[prefix + "score_size"])
    assert decoder.map_sizes[size] == map_size
    middle = np.array([size // 2, size // 2, 0, 0])
    assert_near(
        decoder.rule.anchors(size, map_size, decoder.stride) - middle, expected[prefix + "track_anchors"], tolerance
    )
    if not prefix:
        window = np.tile(expected["window_one_anchor"].ravel(), 5)
        assert_near(decoder.grid(size).window, window, tolerance)


def test_the_network_gives_the_published_numbers() -> None:
    expected, tolerance = golden(FOLDER).arrays("network.npz"), golden(FOLDER).spec["tolerance"]
    with torch.inference_mode():
        features = network().template(as_crops(expected["template"]))
        search = as_crops(expected["search"])
        logits, deltas = network().outputs(features, search)
        score, boxes = network().decode((logits, deltas), search.shape[1])
    assert_near(logits, expected["cls"], tolerance["network_cls_abs"])
    assert_near(deltas, expected["loc"], tolerance["network_loc_abs"])
    assert_near(score, expected["score"], tolerance["network_cls_abs"])
    # DaSiamRPN counts from the middle of the search crop.
    middle = np.array([[search.shape[1] // 2]] * 2 + [[0]] * 2)
    assert_near(boxes[0].numpy() - middle, expected["boxes"], tolerance["boxes_abs_px_in_search_crop"])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "dasiamrpn_big" else []) for name in OTHERS]
)
def test_the_other_code_bases_name_the_same_network(name: str) -> None:
    variant, origin = OTHERS[name]
    spec = VARIANTS[variant]
    crops, expected = golden(FOLDER).arrays("network.npz"), golden(FOLDER).arrays("network_other_keys.npz")
    model = loaded(spec, origin.convert(golden(FOLDER).weights(other_specs()[name]), spec))
    template, search = (as_crops(crops[part]).numpy() for part in ("template", "search"))
    if origin is siamrpn_pytorch:  # which was fed the same bytes, and takes them for RGB
        template, search = reversed_colours(template), reversed_colours(search)
    with torch.inference_mode():
        logits, deltas = model.outputs(model.template(torch.from_numpy(template)), torch.from_numpy(search))
    # README-siamrpn.md names these tolerances.
    assert_near(logits, expected[f"{name}_cls"], 5e-3)
    assert_near(deltas, expected[f"{name}_loc"], 5e-4)


def test_crops_hold_the_published_pixels() -> None:
    expected = golden(FOLDER).arrays("crops.npz")
    picture = frame(int(expected["frame"]))
    fill = family.RULES.fill(picture)
    assert_near(np.array(fill), np.floor(expected["avg"]), 0)
    for case, name in enumerate(expected["names"]):
        size = int(expected[f"case{case}_model_sz"])
        crop = np.empty((size, size, 3), np.uint8)
        cx, cy = expected[f"case{case}_pos"].tolist()
        window = family.window_around(cx, cy, float(expected[f"case{case}_original_sz"]))
        family.RULES.cut(picture, window, crop, fill)
        assert_same_pixels(
            crop.transpose(2, 0, 1), expected[f"case{case}_crop"], golden(FOLDER).spec["tolerance"], str(name)
        )


def test_a_target_starts_where_the_published_one_does() -> None:
    track = golden(FOLDER).track()
    run, first = Run(network(), SPEC, track), track["rows"][0]
    assert run.target.place == Box.from_centre(*first["center"], *first["size"])
    window = family.RULES.search_window(run.target.place, SPEC.crop, SPEC.crop.template_size)
    assert window.side == first["template_crop_side"]


def place_before(previous: Row, row: Row) -> Box:
    return Box.from_centre(*previous["center"], *previous["size"])


def test_each_step_from_the_published_state_gives_the_published_box() -> None:
    vectors = golden(FOLDER)
    tolerance = vectors.spec["tolerance"]
    run = Run(network(), SPEC, vectors.track())
    run.follow(tolerance["track_single_step_box_abs_px"], tolerance["track_single_step_score_abs"], place_before)


def test_a_free_run_follows_the_published_track() -> None:
    vectors = golden(FOLDER)
    tolerance = vectors.spec["tolerance"]
    run = Run(network(), SPEC, vectors.track())
    run.follow(tolerance["track_free_run_box_abs_px"], tolerance["track_free_run_score_abs"])
