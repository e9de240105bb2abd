"""Crops and disturbances of training pairs, against numbers of the original code, given its random draws."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from models.geometry import Box
from models.spec import CropSpec
from tests.golden import conftest
from tests.golden.conftest import frame
from training.augment_recipe import Published, PysotAugment, VideoAnalystAugment
from training.datasets.tracks import Files, Track
from training.published import pysot, video_analyst
from training.published.pysot_colours import BLUR_SIDES, Cross, blurred, recoloured
from training.published.shown import Shown
from training.recipe import read_recipe

pytestmark = pytest.mark.shared
RECIPES = Path(__file__).parents[2] / "training" / "recipes"
Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def theirs() -> Arrays:
    with np.load(conftest.GOLDEN / "training/crops_and_augmentation.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def shown(theirs: Arrays) -> Shown:
    x0, y0, x1, y1 = theirs["box_corners"].tolist()
    return Shown(frame(int(theirs["frame"])), Box(x0, y0, x1 - x0, y1 - y0))


def test_pysot_stores_the_published_crop(theirs: Arrays, shown: Shown) -> None:
    stored = pysot.stored_crop(shown, last=1)
    np.testing.assert_allclose(stored[::4, ::4].astype(int), theirs["x511_every4"], atol=1)
    whole = pysot.Region(0, 0, 510, 510, 1, 1)
    np.testing.assert_allclose(pysot.box_in(whole, shown.box), theirs["box_in_x511"], rtol=1e-9)


def pysot_pair(recipe: PysotAugment, shown: Shown, seed: int, *, grey: bool) -> Iterator[tuple[Any, Any]]:
    """Box and crop of template and search crop, with the numbers in the order in which pysot draws them."""
    rng = np.random.RandomState(seed)
    stored = pysot.stored_crop(shown, last=1)
    if grey:
        stored = np.repeat(cv2.cvtColor(stored, cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)
    for rule, size in ((recipe.template, 127), (recipe.search, 255)):
        region = pysot.drawn(rule, size, 1, rng)
        crop = torch.from_numpy(pysot.cut_region(stored, region, size, 1))[None].double()
        if rule.colour > rng.random():
            crop = recoloured(crop, torch.from_numpy(rng.standard_normal(3))[None])
        if rule.blur > rng.random():
            side, upright = rng.choice(np.array(BLUR_SIDES)), rng.random()
            crop = blurred(crop, Cross(torch.tensor([side]), torch.tensor([upright], dtype=torch.float64)))
        yield pysot.box_in(region, shown.box), crop[0].numpy()


@pytest.mark.parametrize("case", range(6))
def test_pysot_disturbs_pairs_as_published(theirs: Arrays, shown: Shown, case: int) -> None:
    # Only the last of the six was made of a grey picture.
    recipe = read_recipe(RECIPES / "siamrpnpp_r50_otb.toml").augment
    assert isinstance(recipe, PysotAugment)
    seed = int(theirs[f"seed{case}_numpy_seed"])
    template, search = pysot_pair(recipe, shown, seed, grey=case == 5)
    for name, (box, crop) in (("template", template), ("search", search)):
        np.testing.assert_allclose(box, theirs[f"seed{case}_{name}_box"], rtol=1e-9)
        np.testing.assert_allclose(crop.mean((0, 1)), theirs[f"seed{case}_{name}_mean"], atol=0.01)
    if case == 0:  # blurred
        np.testing.assert_allclose(template[1], theirs["seed0_template"], atol=1.1)
        np.testing.assert_allclose(search[1][::3, ::3], theirs["seed0_search_every3"], atol=1.1)


def cases() -> list[dict[str, Any]]:
    content = json.loads((conftest.GOLDEN / "siamfcpp_training/training.json").read_text())
    found: list[dict[str, Any]] = content["augmentation"]
    return found


def inclusive(corners: list[float]) -> Box:
    """Of first and last pixels."""
    x0, y0, x1, y1 = corners
    return Box(x0, y0, x1 - x0 + 1, y1 - y0 + 1)


@pytest.mark.parametrize("number", range(3))
def test_video_analyst_cuts_pairs_as_published(number: int) -> None:
    case = cases()[number]
    config = case["config"]
    rule = VideoAnalystAugment(
        Published.VIDEO_ANALYST,
        shift=config["max_shift"],
        scale=config["max_scale"],
        template_shift=config["max_shift_temp"],
        template_scale=config["max_scale_temp"],
    )
    crop = CropSpec(config["z_size"], config["x_size"], config["context_amount"])
    out = tuple(np.empty((size, size, 3), np.uint8) for size in (crop.template_size, crop.search_size))
    template = Shown(frame(case["template_frame"]), inclusive(case["bbox_template_xyxy"]))
    search = Shown(frame(case["search_frame"]), inclusive(case["bbox_search_xyxy"]))
    rng = np.random.RandomState(case["random_state_seed"])
    box = video_analyst.cut_pair(template, search, crop, rule, rng, (out[0], out[1]))
    assert rng.uniform() == pytest.approx(case["next_uniform_after"], rel=1e-12)
    views = video_analyst.drawn(template.box, search.box, crop, rule, np.random.RandomState(case["random_state_seed"]))
    x, y, w, h = views[0].box.xywh()
    with np.load(conftest.GOLDEN / "siamfcpp_training/augment.npz") as file:
        np.testing.assert_allclose((x, y, x + w - 1, y + h - 1), file[f"bbox_z_{number}"], rtol=1e-5)
        np.testing.assert_allclose(np.array(box) - [0, 0, 1, 1], file[f"bbox_x_{number}"], rtol=1e-5)
        for name, pixels in zip("zx", out, strict=True):
            np.testing.assert_allclose(pixels.astype(int), file[f"{name}_{number}"], atol=1)


def test_targets_are_left_out_as_in_video_analyst() -> None:
    content = json.loads((conftest.GOLDEN / "siamfcpp_training/training.json").read_text())
    largest = read_recipe(RECIPES / "siamfcpp_alexnet.toml").data.largest_aspect
    for case in content["filter"]:
        pictures = Files(Path("nowhere"), ("0.jpg",))
        boxes, one = np.array([case["box_xywh"]], float), np.zeros(1, int)
        track = Track("set", "name", "scene", None, pictures, one, one, boxes, np.ones(1, np.bool_))
        assert (track.seen(1.0, largest) is None) == case["rejected"], case
