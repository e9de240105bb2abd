"""SiamFC++ gives what video_analyst's own code gave: networks, crops and tracks, pixel by pixel with OpenCV 5."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Container, Iterable
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.families.siamfcpp import RULES
from models.geometry import Box
from models.importing.video_analyst import VARIANTS as IMPORTED
from models.importing.video_analyst import convert, recognises
from models.networks.build import build
from models.networks.siamfcpp import SiamFCpp
from models.runtimes.torch import TorchRuntime
from models.spec import ModelSpec
from models.target import Estimate
from models.tracker import Tracker
from models.variants.siamfcpp import VARIANTS
from tests.golden.conftest import GOLDEN, GoldenVariant, frame, golden

pytestmark = pytest.mark.shared

FOLDERS = {
    "alexnet_vot": "siamfcpp_alexnet",
    "alexnet_got10k": "siamfcpp_alexnet_got10k",
    "alexnet_multi_temp": "siamfcpp_alexnet_multi_template",
    "googlenet_vot": "siamfcpp_googlenet",
    "googlenet_got10k": "siamfcpp_googlenet_got10k",
    "googlenet_multi_temp": "siamfcpp_googlenet_multi_template",
    "googlenet_x399": "siamfcpp_googlenet_x399",
    "googlenet_longterm": "siamfcpp_googlenet_longterm",
    "shufflenetv2x0_5": "siamfcpp_shufflenetv2_x0_5",
    "shufflenetv2x1_0": "siamfcpp_shufflenetv2_x1_0",
    "tinyconv": "siamfcpp_tinyconv",
}
REPOSITORY = "MegviiDetection/video_analyst"

SLOW_STEPS = {
    *("alexnet_got10k", "alexnet_multi_temp"),
    *("googlenet_vot", "googlenet_got10k", "googlenet_multi_temp", "googlenet_x399"),
}
SLOW_RUNS = SLOW_STEPS | {"googlenet_longterm"}
"""GoogLeNet takes half a second for a frame; for every day there is one track for each network and kind of loop."""

# The scope makes all tests of one network run in a row.
variants = pytest.mark.parametrize("folder", FOLDERS, scope="module")


def tracks(names: Iterable[str], slow: Container[str]) -> pytest.MarkDecorator:
    marked = [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in names]
    return pytest.mark.parametrize("folder", marked, scope="module")


def spec_of(folder: str) -> ModelSpec:
    return VARIANTS[FOLDERS[folder]]


@functools.lru_cache(maxsize=1)
def network(folder: str) -> SiamFCpp:
    weights = convert(golden(folder).weights(), spec_of(folder))
    module = build(spec_of(folder)).eval()
    module.load_state_dict({key: torch.from_numpy(value) for key, value in weights.items()}, strict=True)
    return cast("SiamFCpp", module)


def test_every_published_variant_is_tested_here() -> None:
    specs = {path.parent.name: json.loads(path.read_text()) for path in GOLDEN.glob("*/spec.json")}
    sources = {name: spec.get("source") for name, spec in specs.items()}
    published = {name for name, source in sources.items() if isinstance(source, dict) and REPOSITORY in source.values()}
    assert published == set(FOLDERS)
    assert set(IMPORTED) == set(FOLDERS.values())


@variants
def test_the_constants_are_the_published_ones(folder: str) -> None:
    spec, config = spec_of(folder), golden(folder).spec["config"]
    track, head = config["tracker"], config["head"]
    assert (spec.crop.template_size, spec.crop.search_size) == (track["z_size"], track["x_size"])
    assert spec.crop.context_amount == track["context_amount"]
    loop = spec.loop
    assert (loop.penalty_k, loop.window_influence) == (track["penalty_k"], track["window_influence"])
    assert (loop.size_lr, loop.min_size, loop.min_size) == (track["test_lr"], track["min_w"], track["min_h"])
    assert spec.network.stride == track["total_stride"]
    assert spec.network.channels == (head["head_width"],)
    assert list(spec.network.tower) == head["head_conv_bn"]
    assert (spec.memory is not None) == ("mem_len" in track)
    if spec.memory is not None:
        assert (spec.memory.length, spec.memory.interval) == (track["mem_len"], track["mem_step"])
        assert spec.memory.share == track["mem_coef"]
    assert (spec.long_term is not None) == ("lost_search_size" in track)
    if spec.long_term is not None:
        assert spec.long_term.search_size == track["lost_search_size"]
        assert (spec.long_term.hold, spec.long_term.found) == (track["lost_score_th_low"], track["lost_score_th_high"])


@variants
def test_the_keys_tell_the_architecture(folder: str) -> None:
    shapes = {key: np.broadcast_to(0.0, shape) for key, shape in golden(folder).spec["state_dict"]}
    name = recognises(shapes)
    assert name is not None
    assert VARIANTS[name].network == spec_of(folder).network
    assert VARIANTS[name].memory is None
    assert VARIANTS[name].long_term is None


@variants
def test_the_grid_is_the_published_one(folder: str) -> None:
    track = golden(folder).spec["config"]["tracker"]
    with torch.device("meta"):
        model = cast("SiamFCpp", build(spec_of(folder)))
    for prefix, size in zip(("", "lost_"), spec_of(folder).search_sizes, strict=False):
        side, offset = track[f"{prefix}score_size"], track[f"{prefix}score_offset"]
        grid = model.grid(size)
        line = offset + 8.0 * np.arange(side)
        np.testing.assert_array_equal(grid.cells, [np.tile(line, side), np.repeat(line, side)])
        np.testing.assert_allclose(grid.window, np.outer(np.hanning(side), np.hanning(side)).ravel(), atol=1e-7)


def assert_near(ours: Tensor, expected: NDArray[Any], tolerance: dict[str, Any]) -> None:
    np.testing.assert_allclose(
        ours.numpy().reshape(expected.shape), expected, rtol=0, atol=tolerance["atol"] * max(1, np.abs(expected).max())
    )


@pytest.mark.parametrize("folder", [name for name in FOLDERS if "multi_temp" not in name], scope="module")
def test_the_network_gives_the_published_numbers(folder: str) -> None:
    expected, tolerance = golden(folder).arrays("network.npz"), golden(folder).spec["tolerances"]["network"]
    model = network(folder)
    suffixes = [name.removeprefix("x_crop") for name in expected if name.startswith("x_crop")]
    assert len(suffixes) == len(spec_of(folder).search_sizes)
    for suffix in suffixes:
        crops = torch.from_numpy(expected["x_crop" + suffix])[None]
        with torch.inference_mode():
            features = model.template(torch.from_numpy(expected["z_crop"])[None])
            for_score, for_box = model.compared(features, crops)
            outputs = model.outputs(features, crops)
            distances = model.head.distances(outputs[2])
            score, boxes = model.decode(outputs, crops.shape[1])
        x0, y0, x1, y1 = expected["box_xyxy" + suffix].T
        pairs = {
            "c_z_k": features[0],
            "r_z_k": features[1],
            "corr_cls_head4" + suffix: for_score[0, :4],
            "corr_reg_head4" + suffix: for_box[0, :4],
            "cls_logit" + suffix: outputs[0],
            "ctr_logit" + suffix: outputs[1],
            "box_raw" + suffix: outputs[2],
            "ltrb" + suffix: distances,
            "cls_prob" + suffix: outputs[0].sigmoid(),
            "ctr_prob" + suffix: outputs[1].sigmoid(),
            "score" + suffix: score,
        }
        for name, ours in pairs.items():
            assert_near(ours, expected[name], tolerance)
        assert_near(boxes[0], np.stack([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0 + 1, y1 - y0 + 1]), tolerance)


def test_crops_hold_the_published_pixels() -> None:
    folder = next(name for name in FOLDERS if (GOLDEN / name / "crops.npz").is_file())
    expected, crop_spec = golden(folder).arrays("crops.npz"), spec_of(folder).crop
    assert (int(expected["z_size"]), int(expected["x_size"])) == (crop_spec.template_size, crop_spec.search_size)
    picture = frame(str(next(path for path in GOLDEN.rglob(str(expected["frame"][()])))))
    fill = tuple(expected["border_value"].tolist())
    assert RULES.fill(frame(1)) == fill
    for case in range(len(expected["case"])):
        place = Box.from_centre(*expected["center"][case], *expected["size"][case])
        template = np.empty((crop_spec.template_size,) * 2 + (3,), np.uint8)
        RULES.cut_template(picture, place, crop_spec, fill, template)
        window = RULES.search_window(place, crop_spec, crop_spec.search_size)
        search = np.empty((crop_spec.search_size,) * 2 + (3,), np.uint8)
        RULES.cut(picture, window, search, fill)
        sides = RULES.search_window(place, crop_spec, crop_spec.template_size).side, window.side
        assert sides == tuple(expected["side_int"][case])
        np.testing.assert_array_equal(template, expected[f"z_{case}"])
        np.testing.assert_array_equal(search, expected[f"x_{case}"])


class Run:
    """Our loop on a published track."""

    def __init__(self, folder: str, rows: str, spec: ModelSpec) -> None:
        vectors: GoldenVariant = golden(folder)
        content = vectors.track()
        self.rows: list[dict[str, Any]] = content[rows]
        self.tolerances: dict[str, Any] = vectors.spec["tolerances"]
        self.tracker = Tracker(spec, TorchRuntime.of(network(folder), spec))
        self.target = self.tracker.start(frame(content["order"][0]), Box(*content["start_box"]))

    def set_before(self, row: dict[str, Any]) -> None:
        self.target.place = Box.from_centre(*row["prior_cxywh"])
        self.target.lost = row.get("lost_before", False)

    def assert_crop(self, row: dict[str, Any]) -> None:
        """The search crop holds the published pixels."""
        size = row["x_crop_size"]
        crop = np.empty((size, size, 3), np.uint8)
        RULES.cut(frame(row["frame"]), self.tracker.next_window(self.target), crop, self.target.fill)
        assert hashlib.sha256(crop.tobytes()).hexdigest() == row["x_crop_sha256"], row["frame"]

    def step(self, row: dict[str, Any], kind: str) -> None:
        """One frame; kind: which of the tolerances holds."""
        estimate = self.tracker.follow(self.target, frame(row["frame"]))
        tolerance = self.tolerances[kind]
        assert_estimate(estimate, row, tolerance)
        place = self.target.place
        state = (place.cx, place.cy, place.w, place.h)
        np.testing.assert_allclose(state, row["state_cxywh"], rtol=0, atol=tolerance["box_px"])
        assert self.target.lost == row.get("lost_after", False), row["frame"]


def assert_estimate(estimate: Estimate, row: dict[str, Any], tolerance: dict[str, Any]) -> None:
    assert estimate.index == row["best"], row["frame"]
    np.testing.assert_allclose(estimate.box.xywh(), row["box_xywh"], rtol=0, atol=tolerance["box_px"])
    scores = (estimate.score, estimate.ranking)
    np.testing.assert_allclose(scores, (row["score"], row["pscore"]), rtol=0, atol=tolerance["score"])


def follow_step_by_step(run: Run) -> None:
    for row in run.rows:
        run.set_before(row)
        run.assert_crop(row)
        run.step(row, "step")


def never_refreshed(spec: ModelSpec, track_length: int) -> ModelSpec:
    """A memory that keeps its first templates: what the published class does, whose update is switched off."""
    if spec.memory is None:
        return spec
    return replace(spec, memory=replace(spec.memory, interval=track_length + 1))


@tracks(FOLDERS, SLOW_STEPS)
def test_each_step_from_the_published_state_gives_the_published_box(folder: str) -> None:
    spec = never_refreshed(spec_of(folder), len(golden(folder).track()["frames"]))
    follow_step_by_step(Run(folder, "frames", spec))


@tracks((name for name in FOLDERS if "multi_temp" in name), {"googlenet_multi_temp"})
def test_a_refreshed_memory_gives_the_published_boxes(folder: str) -> None:
    follow_step_by_step(Run(folder, "frames_update", spec_of(folder)))


@tracks(FOLDERS, SLOW_RUNS)
def test_a_free_run_follows_the_published_track(folder: str) -> None:
    tolerance = golden(folder).spec["tolerances"]["free_run"]
    if tolerance["box_px"] is None or "unmeasured" in tolerance:
        pytest.skip("the published track is too sensitive: a correct loop may take another way")
    run = Run(folder, "frames", spec_of(folder))
    for row in run.rows:
        run.step(row, "free_run")


def test_the_published_long_term_track_loses_its_target_and_finds_it_again() -> None:
    rows = golden("googlenet_longterm").track()["frames"]
    changes = {(row["lost_before"], row["lost_after"]) for row in rows}
    assert {(False, True), (True, False)} <= changes
