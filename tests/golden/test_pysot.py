"""SiamRPN and SiamRPN++ give what pysot's own code gave: networks, anchors, crops and tracks."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.crops import cut
from models.families import siamrpn
from models.geometry import Box
from models.importing.pysot import convert, recognises
from models.networks.build import build
from models.networks.siamrpn import SiamRpn
from models.runtimes.base import ByteArray
from models.runtimes.torch import TorchRuntime
from models.spec import ModelSpec
from models.target import Estimate, Target
from models.tracker import Tracker
from models.variants.pysot import VARIANTS
from tests.golden.conftest import frame, golden

pytestmark = pytest.mark.shared

FOLDERS = {
    "siamrpn_alexnet_dw": "siamrpn_alexnet",
    "siamrpnpp_r50_l234": "siamrpnpp_r50",
    "siamrpnpp_mobilenetv2_l234": "siamrpnpp_mobilenetv2",
    "siamrpnpp_r50_longterm": "siamrpnpp_r50_longterm",
}
LONG_TERM = "siamrpnpp_r50_longterm"

LARGE = "siamrpnpp_r50_l234"
LIGHT = [folder for folder in FOLDERS if folder not in (LARGE, LONG_TERM)]

# The scope makes all tests of one network run in a row.
variants = pytest.mark.parametrize("folder", FOLDERS, scope="module")


@functools.lru_cache(maxsize=1)
def network(folder: str) -> SiamRpn:
    spec = VARIANTS[FOLDERS[folder]]
    weights = convert(golden(folder).weights(), spec)
    module = build(spec).eval()
    module.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()}, strict=True)
    return cast("SiamRpn", module)


def as_crops(pixels: NDArray[Any]) -> Tensor:
    """(B, 3, S, S) as pysot feeds it -> (B, S, S, 3)."""
    return torch.from_numpy(pixels).permute(0, 2, 3, 1).contiguous()


def assert_near(ours: Tensor | NDArray[Any], expected: NDArray[Any], tolerance: float) -> None:
    np.testing.assert_allclose(np.asarray(ours).reshape(expected.shape), expected, rtol=0, atol=tolerance)


@variants
def test_the_constants_are_the_published_ones(folder: str) -> None:
    config, spec = golden(folder).spec["config"], VARIANTS[FOLDERS[folder]]
    track, rpn = config["TRACK"], config["RPN"]["KWARGS"]
    assert spec.crop.template_size == track["EXEMPLAR_SIZE"]
    assert spec.crop.search_size == track["INSTANCE_SIZE"]
    assert spec.crop.context_amount == track["CONTEXT_AMOUNT"]
    loop = spec.loop
    assert (loop.penalty_k, loop.window_influence, loop.size_lr) == (
        track["PENALTY_K"], track["WINDOW_INFLUENCE"], track["LR"],
    )  # fmt: skip
    assert spec.network.stride == config["ANCHOR"]["STRIDE"]
    assert list(spec.network.channels) == list(np.atleast_1d(rpn["in_channels"]))
    assert spec.network.weighted == rpn.get("weighted", False)
    assert (spec.long_term is not None) == (track["TYPE"] == "SiamRPNLTTracker")
    if spec.long_term is not None:
        assert spec.long_term.search_size == track["LOST_INSTANCE_SIZE"]


@variants
def test_the_keys_tell_the_variant(folder: str) -> None:
    shapes = {key: np.broadcast_to(0.0, shape) for key, shape in golden(folder).spec["state_dict"]}
    assert recognises(shapes) == FOLDERS[folder]


@variants
def test_the_anchors_are_the_published_ones(folder: str) -> None:
    expected, spec = golden(folder).arrays("anchors.npz"), VARIANTS[FOLDERS[folder]]
    with torch.device("meta"):
        decoder = cast("SiamRpn", build(spec)).decoder
    prefixes = ("", "lost_")
    for prefix, size in zip(prefixes, spec.search_sizes, strict=False):
        map_size = int(expected[prefix + "score_size"])
        assert decoder.map_sizes[size] == map_size
        middle = np.array([size // 2, size // 2, 0, 0])
        tolerance = golden(folder).spec["tolerance"]["anchors_abs"]
        assert_near(
            decoder.rule.anchors(size, map_size, decoder.stride) - middle,
            expected[prefix + "track_anchors"],
            tolerance,
        )
        if not prefix:
            window = np.tile(expected["window_one_anchor"].ravel(), len(expected["base_corners"]))
            assert_near(decoder.grid(size).window, window, tolerance)


@variants
def test_the_network_gives_the_published_numbers(folder: str) -> None:
    expected, tolerance = golden(folder).arrays("network.npz"), golden(folder).spec["tolerance"]
    model = network(folder)
    with torch.inference_mode():
        template, search = as_crops(expected["template"]), as_crops(expected["search"])
        levels = model.template_levels(template)
        logits, deltas = model.outputs(model.template(template), search)
        score, boxes = model.decode((logits, deltas), search.shape[1])
    for number, level in enumerate(levels):
        first = expected[f"template_feature_{number}_first"]
        assert_near(level[0, : len(first)], first, tolerance["network_cls_abs"])
    assert_near(logits, expected["cls"], tolerance["network_cls_abs"])
    assert_near(deltas, expected["loc"], tolerance["network_loc_abs"])
    assert_near(score, expected["score"], tolerance["network_cls_abs"])
    # pysot counts from the middle of the search crop.
    middle = np.array([[search.shape[1] // 2]] * 2 + [[0]] * 2)
    assert_near(boxes[0].numpy() - middle, expected["boxes"], tolerance["boxes_abs_px_in_search_crop"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wide_search_gives_the_published_numbers() -> None:
    expected, spec = golden(LONG_TERM).arrays("network.npz"), golden(LONG_TERM).spec
    side = VARIANTS[FOLDERS[LONG_TERM]].search_sizes[1]
    search = expected["lost_search_small"].repeat(16, axis=0).repeat(16, axis=1)[:side, :side]
    model = network(LONG_TERM)
    with torch.inference_mode():
        features = model.template(as_crops(expected["template"]))
        logits, deltas = model.outputs(features, torch.from_numpy(search[None].copy()))
        score, boxes = model.decode((logits, deltas), side)
    assert list(logits.shape) == spec["lost_output_shape"]["cls"]
    assert_near(logits[:, :, ::6, ::6], expected["lost_cls_every6"], spec["tolerance"]["network_cls_abs"])
    assert_near(deltas[:, :, ::6, ::6], expected["lost_loc_every6"], spec["tolerance"]["network_loc_abs"])
    for ours, name in ((logits, "cls"), (deltas, "loc")):
        tolerance = spec["tolerance"][f"network_{name}_abs"]
        assert ours.double().mean().item() == pytest.approx(spec["lost_sum"][name] / ours.numel(), rel=0, abs=tolerance)
    assert boxes.shape[2] == score.shape[1] == len(model.grid(side).window)


@variants
def test_crops_hold_the_published_pixels(folder: str) -> None:
    expected, tolerance = golden(folder).arrays("crops.npz"), golden(folder).spec["tolerance"]
    picture = frame(int(expected["frame"]))
    blue, green, red = expected["avg"].tolist()
    assert_near(np.array(siamrpn.RULES.fill(picture)), np.floor(expected["avg"]), 0)
    for case in range(len(expected["names"])):
        size = int(expected[f"case{case}_model_sz"])
        crop = np.empty((size, size, 3), np.uint8)
        cx, cy = expected[f"case{case}_pos"].tolist()
        window = siamrpn.window_around(cx, cy, float(expected[f"case{case}_original_sz"]))
        cut(picture, window, crop, (int(blue), int(green), int(red)))
        off = np.abs(crop.transpose(2, 0, 1).astype(int) - expected[f"case{case}_crop"])
        assert off.max() <= tolerance["crop_abs_levels"], expected["names"][case]
        assert np.mean(off > 0) <= tolerance["crop_max_fraction_of_pixels_off"], expected["names"][case]


class Run:
    """Our loop on a published track."""

    def __init__(self, folder: str) -> None:
        vectors = golden(folder)
        self.spec = spec_of_track(VARIANTS[FOLDERS[folder]], vectors.spec)
        self.tolerance: dict[str, Any] = vectors.spec["tolerance"]
        self.rows: list[dict[str, Any]] = vectors.track()["rows"]
        self.tracker = Tracker(self.spec, TorchRuntime.of(network(folder), self.spec))
        self.target = self.tracker.start(self.frame(self.rows[0]), Box(*vectors.track()["start_box"]))

    @staticmethod
    def frame(row: dict[str, Any]) -> ByteArray:
        return frame(row["frame"])

    def assert_started(self) -> None:
        first = self.rows[0]
        assert_state(self.target, first, 1e-9)
        window = siamrpn.RULES.search_window(self.target.place, self.spec.crop, self.spec.crop.template_size)
        assert window.side == first["template_crop_side"]

    def set_to(self, row: dict[str, Any]) -> None:
        self.target.place = Box.from_centre(*row["center"], *row["size"])
        self.target.lost = row.get("lost_after", False)

    def step(self, row: dict[str, Any], kind: str) -> None:
        """One frame; kind: which of the two tolerances holds."""
        estimate = self.tracker.follow(self.target, self.frame(row))
        tolerance = self.tolerance[f"track_{kind}_box_abs_px"]
        assert_estimate(estimate, row, tolerance, self.tolerance[f"track_{kind}_score_abs"])
        assert_state(self.target, row, tolerance)
        assert self.target.lost == row.get("lost_after", False)


def spec_of_track(spec: ModelSpec, golden_spec: dict[str, Any]) -> ModelSpec:
    """The variant's spec; with the thresholds that a golden track was made with, where it names its own."""
    own = golden_spec.get("test_only_thresholds")
    if spec.long_term is None or own is None:
        return spec
    thresholds = replace(spec.long_term, hold=own["CONFIDENCE_LOW"], found=own["CONFIDENCE_HIGH"])
    return replace(spec, long_term=thresholds)


def assert_estimate(estimate: Estimate, row: dict[str, Any], box: float, score: float) -> None:
    assert estimate.index == row["best_index"], row["frame"]
    assert estimate.window.side == row["search_side"]
    assert_near(np.array(estimate.box.xywh()), np.array(row["bbox"]), box)
    assert_near(np.array([estimate.score, estimate.ranking]), np.array([row["score"], row["best_pscore"]]), score)


def assert_state(target: Target, row: dict[str, Any], tolerance: float) -> None:
    place = target.place
    assert_near(np.array([place.cx, place.cy, place.w, place.h]), np.array([*row["center"], *row["size"]]), tolerance)


@pytest.mark.parametrize("folder", [*LIGHT, pytest.param(LARGE, marks=pytest.mark.slow)], scope="module")
def test_each_step_from_the_published_state_gives_the_published_box(folder: str) -> None:
    run = Run(folder)
    run.assert_started()
    for previous, row in zip(run.rows, run.rows[1:], strict=False):
        run.set_to(previous)
        run.step(row, "single_step")


@pytest.mark.parametrize(
    ("folder", "frames"),
    [*((folder, None) for folder in LIGHT), (LARGE, 4), pytest.param(LARGE, None, marks=pytest.mark.slow)],
    scope="module",
)
def test_a_free_run_follows_the_published_track(folder: str, frames: int | None) -> None:
    run = Run(folder)
    for row in run.rows[1:frames]:
        run.step(row, "free_run")


@pytest.mark.slow
def test_each_narrow_step_of_the_long_term_tracker_gives_the_published_box() -> None:
    run = Run(LONG_TERM)
    run.assert_started()
    for previous, row in zip(run.rows, run.rows[1:], strict=False):
        if not row["lost_before"]:
            run.set_to(previous)
            run.step(row, "single_step")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_long_term_tracker_loses_and_finds_its_target_as_published() -> None:
    run = Run(LONG_TERM)
    for row in run.rows[1:]:
        run.step(row, "free_run")
    assert {row["lost_before"] for row in run.rows[1:]} == {False, True}
