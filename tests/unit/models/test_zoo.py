"""The packages that ship with Lockon."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.package import DEFAULT_MODEL, MODEL_CARD, ZOO, available, load_tracker, read_package
from models.tracker import Tracker
from tests.drawing import Drawing
from training.evaluation.ope import evaluate_model
from training.evaluation.sequences import read_sequence

LIMIT_BYTES = 10_000_000


@pytest.fixture(scope="module")
def tracker() -> Tracker:
    return load_tracker(DEFAULT_MODEL)


@pytest.mark.parametrize("name", sorted(available()))
def test_a_shipped_package_is_sound_and_small_and_says_where_it_comes_from(name: str) -> None:
    package = read_package(ZOO / name)
    assert package.name == name
    assert sum(path.stat().st_size for path in package.folder.iterdir()) <= LIMIT_BYTES
    assert {"licence", "data", "backbone", "commit", "seed", "hours", "recipe"} <= set(package.origin)
    assert {"auc", "precision20", "tuning_half_auc", "held_out_half_auc"} <= set(package.scores)
    assert name in package.file(MODEL_CARD).read_text()


def test_the_default_model_is_one_of_them() -> None:
    assert DEFAULT_MODEL in available()


def test_the_default_model_follows_a_drawn_square(tracker: Tracker) -> None:
    drawing = Drawing(side=48)
    target = tracker.start(drawing.frame(0), drawing.box(0))
    distances = []
    for index in range(1, 60):
        box, truth = tracker.follow(target, drawing.frame(index)).box, drawing.box(index)
        distances.append(np.hypot(box.cx - truth.cx, box.cy - truth.cy))
    assert np.median(distances) < 6


@pytest.mark.shared
def test_the_default_model_follows_a_car_on_a_road(tracker: Tracker, shared: Path) -> None:
    (run,) = evaluate_model(tracker, [read_sequence(shared / "data" / "eval" / "car4_road")])
    assert run.scores.auc > 0.7
