"""NanoTrack gives what its own code gave, with the published weights and with seeded ones."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.families.siamrpn import RULES
from models.geometry import Box
from models.importing.checkpoints import read_state
from models.importing.nanotrack import VARIANTS as NAMES
from models.importing.nanotrack import convert, recognises
from models.importing.onnx_pair import graphs_from_pair, recognise_pair
from models.networks.nanotrack import NanoTrack
from models.runtimes.onnx import OnnxRuntime
from models.spec import CropSpec
from models.tracker import Tracker
from models.variants import VARIANTS
from tests.golden.comparing import Row, Run, as_crops, assert_near, assert_same_pixels, loaded
from tests.golden.conftest import frame, golden
from tests.nanotrack import checkpoint, onnx_pair

pytestmark = [pytest.mark.shared, pytest.mark.parametrize("name", NAMES)]


def network(name: str, state: dict[str, NDArray[Any]]) -> NanoTrack:
    return cast("NanoTrack", loaded(VARIANTS[name], convert(state, VARIANTS[name])))


@functools.cache
def published(name: str) -> NanoTrack:
    return network(name, read_state(checkpoint(name)))


def published_run(name: str) -> Run:
    return Run(published(name), VARIANTS[name], golden(name).track())


def place_before(previous: Row, row: Row) -> Box:
    return Box.from_centre(*previous["center"], *previous["size"])


def test_the_constants_are_the_published_ones(name: str) -> None:
    config, spec = golden(name).spec["config"], VARIANTS[name]
    track = config["TRACK"]
    assert (spec.loop.penalty_k, spec.loop.window_influence, spec.loop.size_lr) == (
        track["PENALTY_K"], track["WINDOW_INFLUENCE"], track["LR"],
    )  # fmt: skip
    assert spec.crop == CropSpec(track["EXEMPLAR_SIZE"], track["INSTANCE_SIZE"], track["CONTEXT_AMOUNT"])
    assert spec.network.stride == config["POINT"]["STRIDE"]
    assert spec.network.channels == (golden(name).spec["shapes"]["zf"][1],)
    assert len(published(name).grid(spec.crop.search_size).window) == track["OUTPUT_SIZE"] ** 2


def test_the_keys_tell_the_variant(name: str) -> None:
    assert recognises(read_state(checkpoint(name))) == name
    assert recognises(dict(golden(name).spec["state_dict"])) == name


def test_the_points_and_the_window_are_the_published_ones(name: str) -> None:
    expected, size = golden(name).arrays("network.npz"), VARIANTS[name].crop.search_size
    grid = published(name).grid(size)
    assert_near(grid.cells.T - size // 2, expected["points"], golden(name).spec["tolerance"]["points_abs"])
    assert_near(grid.window, expected["window"], 0)


@pytest.mark.parametrize("vectors", ["network.npz", "network_seeded.npz"])
def test_the_network_gives_the_published_numbers(name: str, vectors: str) -> None:
    variant = golden(name)
    inputs, expected, tolerance = variant.arrays("network.npz"), variant.arrays(vectors), variant.spec["tolerance"]
    module = published(name) if vectors == "network.npz" else network(name, variant.weights())
    template, search = as_crops(inputs["z"]), as_crops(inputs["x"])
    with torch.inference_mode():
        logits, distances = module.outputs(module.template(template), search)
        features, every_eighth = module.features(template), module.features(search)[:, ::8]
    assert_near(features, expected["tap_zf"], tolerance["network_cls_abs"])
    assert_near(every_eighth, expected["tap_xf"], tolerance["network_cls_abs"])
    assert_near(logits, expected["cls"], tolerance["network_cls_abs"])
    np.testing.assert_allclose(distances.numpy(), expected["loc"], rtol=tolerance["network_loc_rel"])


def test_outputs_are_decoded_into_the_published_scores_and_boxes(name: str) -> None:
    expected, tolerance = golden(name).arrays("network.npz"), golden(name).spec["tolerance"]
    size = expected["x"].shape[2]
    outputs = (torch.from_numpy(expected["cls"]), torch.from_numpy(expected["loc"]))
    score, boxes = published(name).decode(outputs, size)
    assert_near(score, expected["score"], tolerance["network_cls_abs"])
    # The original counts from the middle of the search crop.
    middle = np.array([[size // 2]] * 2 + [[0]] * 2)
    assert_near(boxes[0].numpy() - middle, expected["pred_bbox_cxcywh"], tolerance["network_cls_abs"])


def test_crops_hold_the_published_pixels(name: str) -> None:
    variant, spec = golden(name), VARIANTS[name].crop
    expected = variant.arrays("crops.npz")
    picture = frame(str(expected["frame"]))
    fill = RULES.fill(picture)
    assert_near(np.array(fill), np.floor(expected["avg"]), 0)
    for case in variant.spec["crop_cases"]:
        place = Box.from_centre(*case["center"], *case["wh"])
        side = spec.template_size if case["kind"] == "template" else spec.search_size
        window = RULES.search_window(place, spec, side)
        assert window.side == case["side"], case
        crop = np.empty((case["out"], case["out"], 3), np.uint8)
        RULES.cut(picture, window, crop, fill)
        pixels = expected[f"{case['case']}_{case['kind']}"][0]
        assert_same_pixels(crop.transpose(2, 0, 1), pixels, variant.spec["tolerance"], str(case))


def test_a_target_starts_where_the_published_one_does(name: str) -> None:
    run, crop = published_run(name), VARIANTS[name].crop
    place, row = run.target.place, run.rows[0]
    assert (place.cx, place.cy) == tuple(row["center"])
    assert tuple(place.size) == tuple(row["size"])
    assert RULES.search_window(place, crop, crop.template_size).side == row["crop_side"]


@pytest.mark.parametrize("place", [place_before, None], ids=["single steps", "free run"])
def test_the_track_is_the_published_one(name: str, place: Any) -> None:
    tolerance = golden(name).spec["tolerance"]
    published_run(name).follow(tolerance["track_box_abs_px"], tolerance["track_score_abs"], place)


def test_the_onnx_pair_follows_as_the_checkpoint_does(name: str, tmp_path: Path) -> None:
    pair, spec = onnx_pair(name), VARIANTS[name]
    assert recognise_pair(*pair) == name
    for file, content in graphs_from_pair(*pair, spec).items():
        (tmp_path / file).write_bytes(content)
    graphs = OnnxRuntime(tmp_path / "template.onnx", {spec.crop.search_size: tmp_path / "search.onnx"})
    ours, theirs = published_run(name), Tracker(spec, graphs)
    target = theirs.start(frame(ours.rows[0]["frame"]), ours.target.box)
    for row in ours.rows[1:]:
        picture = frame(row["frame"])
        expected, got = ours.tracker.follow(ours.target, picture), theirs.follow(target, picture)
        assert_near(np.array(got.box.xywh()), np.array(expected.box.xywh()), 1e-3)
        assert_near(np.array([got.score, got.ranking]), np.array([expected.score, expected.ranking]), 1e-4)
