"""Lockon as the VOT toolkit drives it: a process that speaks TraX."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.package import load_tracker
from tests.drawing import Drawing
from training.evaluation.ope import ModelTracker, run_sequence
from training.evaluation.sequences import read_sequence

WHY = "vot-trax comes ready-built for x86_64 only"
trax = pytest.importorskip("trax", reason=WHY)
client_side = pytest.importorskip("trax.client", reason=WHY)


def test_a_client_gets_the_boxes_of_our_own_evaluation_and_a_confidence(tmp_path: Path) -> None:
    sequence = read_sequence(Drawing(width=160, height=120, side=24).write_sequence(tmp_path / "square", 6))
    own = run_sequence(ModelTracker(load_tracker("dummy")), sequence).boxes
    command = [sys.executable, "-m", "training.toolkits.vot", "dummy"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        client = client_side.Client(stream=(process.stdin.fileno(), process.stdout.fileno()), log=lambda line: None)
        assert client.tracker_name == "Lockon"
        x, y, w, h = sequence.truth[0]
        polygon = [(x, y), (x + w - 1, y), (x + w - 1, y + h - 1), (x, y + h - 1)]
        for start in (trax.Rectangle.create(x, y, w, h), trax.Polygon.create(polygon)):
            client.initialize(image(sequence.frame_paths[0]), [(start, {})], {})
            for number, path in enumerate(sequence.frame_paths[1:], 1):
                ((region, properties),), _ = client.frame(image(path), {}, [])
                np.testing.assert_allclose(region.bounds(), own[number], atol=1e-3)
                assert 0 <= float(properties["confidence"]) <= 1
        client.quit()
        assert process.wait(10) == 0


def image(path: Path) -> dict[str, Any]:
    return {"color": trax.FileImage.create(str(path))}
