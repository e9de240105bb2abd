"""NanoTrack gives what its own code gave, with the published weights and with seeded ones."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.families import siamrpn
from models.geometry import Box
from models.importing.checkpoints import read_state
from models.importing.nanotrack import VARIANTS as NAMES
from models.importing.nanotrack import convert, recognises
from models.importing.onnx_pair import graphs_from_pair, recognise_pair
from models.networks.nanotrack import NanoTrack
from models.runtimes.base import Runtime
from models.runtimes.onnx import OnnxRuntime
from models.runtimes.torch import TorchRuntime
from models.spec import CropSpec, ModelSpec
from models.tracker import Tracker
from models.variants.nanotrack import VARIANTS
from tests.golden.conftest import frame, golden
from tests.nanotrack import checkpoint, onnx_pair

pytestmark = [pytest.mark.shared, pytest.mark.parametrize("name", NAMES)]


def network(name: str, state: dict[str, NDArray[Any]]) -> NanoTrack:
    module = NanoTrack(VARIANTS[name])
    converted = convert(state, VARIANTS[name])
    module.load_state_dict({key: torch.from_numpy(array.copy()) for key, array in converted.items()}, strict=True)
    return module.eval()


@functools.cache
def published(name: str) -> NanoTrack:
    return network(name, read_state(checkpoint(name)))


def as_crops(pixels: NDArray[Any]) -> Tensor:
    """(B, 3, S, S) as the original feeds it -> (B, S, S, 3)."""
    return torch.from_numpy(pixels).permute(0, 2, 3, 1).contiguous()


def assert_near(ours: Tensor | NDArray[Any], expected: NDArray[Any], absolute: float = 0, relative: float = 0) -> None:
    np.testing.assert_allclose(np.asarray(ours).reshape(expected.shape), expected, rtol=relative, atol=absolute)


def test_the_constants_are_the_published_ones(name: str) -> None:
    config, spec = golden(name).spec["config"], VARIANTS[name]
    track = config["TRACK"]
    assert (spec.loop.penalty_k, spec.loop.window_influence, spec.loop.size_lr) == (
        track["PENALTY_K"], track["WINDOW_INFLUENCE"], track["LR"],
    )  # fmt: skip
    assert spec.crop == CropSpec(track["EXEMPLAR_SIZE"], track["INSTANCE_SIZE"], track["CONTEXT_AMOUNT"])
    assert spec.network.stride == config["POINT"]["STRIDE"]
    assert spec.network.channels == (golden(name).spec["shapes"]["zf"][1],)
    assert len(NanoTrack(spec).grid(spec.crop.search_size).window) == track["OUTPUT_SIZE"] ** 2


def test_the_keys_tell_the_variant(name: str) -> None:
    assert recognises(read_state(checkpoint(name))) == name
    assert recognises(dict(golden(name).spec["state_dict"])) == name


def test_the_points_and_the_window_are_the_published_ones(name: str) -> None:
    expected, spec = golden(name).arrays("network.npz"), VARIANTS[name]
    size = spec.crop.search_size
    grid = NanoTrack(spec).grid(size)
    assert_near(grid.cells.T - size // 2, expected["points"], golden(name).spec["tolerance"]["points_abs"])
    assert_near(grid.window, expected["window"])


@pytest.mark.parametrize("vectors", ["network.npz", "network_seeded.npz"])
def test_the_network_gives_the_published_numbers(name: str, vectors: str) -> None:
    variant = golden(name)
    inputs, expected, tolerance = variant.arrays("network.npz"), variant.arrays(vectors), variant.spec["tolerance"]
    module = published(name) if vectors == "network.npz" else network(name, variant.weights())
    template, search = as_crops(inputs["z"]), as_crops(inputs["x"])
    with torch.inference_mode():
        logits, distances = module.outputs(module.template(template), search)
        features = module.features(template)
        every_eighth = module.features(search)[:, ::8]
    assert_near(features, expected["tap_zf"], tolerance["network_cls_abs"])
    assert_near(every_eighth, expected["tap_xf"], tolerance["network_cls_abs"])
    assert_near(logits, expected["cls"], tolerance["network_cls_abs"])
    assert_near(distances, expected["loc"], relative=tolerance["network_loc_rel"])


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
    variant = golden(name)
    expected, tolerance = variant.arrays("crops.npz"), variant.spec["tolerance"]
    picture = frame(str(expected["frame"]))
    fill = siamrpn.RULES.fill(picture)
    assert_near(np.array(fill), np.floor(expected["avg"]))
    spec = VARIANTS[name].crop
    for case in variant.spec["crop_cases"]:
        place = Box.from_centre(*case["center"], *case["wh"])
        side = spec.template_size if case["kind"] == "template" else spec.search_size
        window = siamrpn.RULES.search_window(place, spec, side)
        assert window.side == case["side"], case
        crop = np.empty((case["out"], case["out"], 3), np.uint8)
        siamrpn.RULES.cut(picture, window, crop, fill)
        off = np.abs(crop.transpose(2, 0, 1).astype(int) - expected[f"{case['case']}_{case['kind']}"][0])
        assert off.max() <= tolerance["crop_abs_levels"], case
        assert np.mean(off > 0) <= tolerance["crop_max_fraction_of_pixels_off"], case


class Run:
    """Our loop, with the published weights, on the published track."""

    def __init__(self, name: str, runtime: Runtime | None = None) -> None:
        self.spec: ModelSpec = VARIANTS[name]
        self.tolerance: dict[str, Any] = golden(name).spec["tolerance"]
        track = golden(name).track()
        self.rows: list[dict[str, Any]] = track["rows"]
        self.tracker = Tracker(self.spec, runtime or TorchRuntime.of(published(name), self.spec))
        self.target = self.tracker.start(frame(self.rows[0]["frame"]), Box(*track["start_box_xywh"]))

    def set_to(self, row: dict[str, Any]) -> None:
        self.target.place = Box.from_centre(*row["center"], *row["size"])

    def step(self, row: dict[str, Any]) -> None:
        estimate = self.tracker.follow(self.target, frame(row["frame"]))
        assert estimate.index == row["best_index"], row["frame"]
        assert estimate.window.side == row["crop_side"], row["frame"]
        assert_near(np.array(estimate.box.xywh()), np.array(row["bbox"]), self.tolerance["track_box_abs_px"])
        scores, expected = [estimate.score, estimate.ranking], [row["score"], row["best_pscore"]]
        assert_near(np.array(scores), np.array(expected), self.tolerance["track_score_abs"])
        self.assert_at(row, self.tolerance["track_box_abs_px"])

    def assert_at(self, row: dict[str, Any], tolerance: float = 1e-9) -> None:
        place = self.target.place
        assert_near(np.array([place.cx, place.cy]), np.array(row["center"]), tolerance)
        assert_near(np.array(place.size), np.array(row["size"]), tolerance)


def test_a_target_starts_where_the_published_one_does(name: str) -> None:
    run = Run(name)
    run.assert_at(run.rows[0])
    crop = run.spec.crop
    assert siamrpn.RULES.search_window(run.target.place, crop, crop.template_size).side == run.rows[0]["crop_side"]


def test_each_step_from_the_published_state_gives_the_published_box(name: str) -> None:
    run = Run(name)
    for previous, row in zip(run.rows, run.rows[1:], strict=False):
        run.set_to(previous)
        run.step(row)


def test_a_free_run_follows_the_published_track(name: str) -> None:
    run = Run(name)
    for row in run.rows[1:]:
        run.step(row)


def test_the_onnx_pair_follows_as_the_checkpoint_does(name: str, tmp_path: Path) -> None:
    pair, spec = onnx_pair(name), VARIANTS[name]
    assert recognise_pair(*pair) == name
    for file, content in graphs_from_pair(*pair, spec).items():
        (tmp_path / file).write_bytes(content)
    graphs = OnnxRuntime(tmp_path / "template.onnx", {spec.crop.search_size: tmp_path / "search.onnx"})
    of_checkpoint, of_pair = Run(name), Run(name, graphs)
    for row in of_checkpoint.rows[1:]:
        expected, got = (run.tracker.follow(run.target, frame(row["frame"])) for run in (of_checkpoint, of_pair))
        assert_near(np.array(got.box.xywh()), np.array(expected.box.xywh()), 1e-3)
        assert_near(np.array([got.score, got.ranking]), np.array([expected.score, expected.ranking]), 1e-4)
