"""Lockon as the got10k toolkit drives it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from models.package import load_tracker
from tests.drawing import Drawing
from training.evaluation.ope import ModelTracker, run_sequence
from training.evaluation.sequences import read_sequence
from training.toolkits.got10k import LockonTracker


def test_files_give_the_boxes_of_our_own_evaluation_and_images_nearly_the_same(tmp_path: Path) -> None:
    sequence = read_sequence(Drawing(width=160, height=120, side=24).write_sequence(tmp_path / "square", 8))
    own = run_sequence(ModelTracker(load_tracker("dummy")), sequence).boxes
    tracker = LockonTracker("dummy")
    assert (tracker.name, tracker.is_deterministic) == ("Lockon dummy", True)
    files = [str(path) for path in sequence.frame_paths]
    boxes, times = tracker.track(files, sequence.truth[0])
    np.testing.assert_array_equal(boxes, own)
    assert (times > 0).all()
    images = [Image.open(path) for path in sequence.frame_paths]
    tracker.init(images[0], sequence.truth[0])
    found = [tracker.update(image) for image in images[1:]]
    np.testing.assert_allclose(found, own[1:], atol=1e-6)
