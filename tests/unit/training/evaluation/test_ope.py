"""The loop that drives trackers, with trackers that are nothing but a rule."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.geometry import Box
from models.package import load_tracker
from models.presence import State
from models.runtimes.base import ByteArray
from training.evaluation.ope import (
    Answer,
    ModelTracker,
    TrackerFactory,
    evaluate,
    evaluate_model,
    run_sequence,
    score_boxes,
)
from training.evaluation.opencv_trackers import OpenCvTracker, Peer, PeerUnavailable, peer_factory
from training.evaluation.sequences import SequenceInvalid, read_sequence, read_sequences, write_boxes

from .conftest import DRAWING, DrawSequence


class MovesRight:
    """Says that the target moves by `step` pixels a frame; counts what it is shown."""

    def __init__(self, step: float) -> None:
        self._step = step
        self.started_with: list[Box] = []
        self.followed = 0
        self.times_s: list[float] = []

    def start(self, frame: ByteArray, box: Box) -> None:
        self.started_with.append(box)
        self._box = box

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        self.followed += 1
        self.times_s.append(time_s)
        self._box = Box(self._box.x + self._step, self._box.y + 1, self._box.w, self._box.h)
        return Answer(self._box, 0.5, State.TRACKING)


def test_a_sequence_is_followed_once_from_its_first_box(draw_sequence: DrawSequence) -> None:
    sequence = read_sequence(draw_sequence("square", 6, absent=(3,)))
    tracker = MovesRight(3)
    run = run_sequence(tracker, sequence)
    assert tracker.started_with == [DRAWING.box(0)]
    assert tracker.followed == 5
    assert tracker.times_s == [index / 25 for index in range(1, 6)]
    assert run.boxes[:, 0].tolist() == [DRAWING.box(index).x for index in range(6)]
    assert run.target_scores.tolist() == [1] + [0.5] * 5
    assert run.scores.frames == 4
    assert run.scores.ao == 1
    assert run.wall_ms is not None
    assert run.wall_ms > 0


def test_trackers_take_turns_sequence_by_sequence(draw_sequence: DrawSequence) -> None:
    folder = draw_sequence("a", 3).parent
    draw_sequence("b", 3)
    order: list[tuple[str, str, int]] = []
    trackers: dict[str, TrackerFactory] = {"right": lambda: MovesRight(3), "wrong": lambda: MovesRight(-30)}
    runs = evaluate(trackers, read_sequences(folder), lambda *step: order.append(step))
    assert order == [("a", "right", 0), ("a", "wrong", 1), ("b", "right", 2), ("b", "wrong", 3)]
    assert [run.sequence for run in runs["right"]] == ["a", "b"]
    assert [run.scores.ao for run in runs["right"]] == [1, 1]
    assert all(run.scores.ao < 0.3 for run in runs["wrong"])


def test_opencv_gets_its_threads_back_after_an_evaluation(draw_sequence: DrawSequence) -> None:
    folder = draw_sequence("square", 2)
    (folder / "img" / "00000002.png").write_bytes(b"no image")
    before = cv2.getNumThreads()
    with pytest.raises(SequenceInvalid):
        evaluate({"right": lambda: MovesRight(3)}, [read_sequence(folder)])
    assert cv2.getNumThreads() == before


def test_our_tracker_is_driven_by_the_same_loop_and_always_says_the_same(draw_sequence: DrawSequence) -> None:
    sequence = read_sequence(draw_sequence("square", 8))
    first, second = (evaluate_model(load_tracker("dummy"), [sequence])[0] for _ in range(2))
    np.testing.assert_array_equal(first.boxes, second.boxes)
    assert first.scores.auc > 0.8
    again = evaluate({"dummy": lambda: ModelTracker(load_tracker("dummy"))}, [sequence])["dummy"][0]
    np.testing.assert_array_equal(first.boxes, again.boxes)


def test_boxes_written_before_get_the_same_scores(draw_sequence: DrawSequence, tmp_path: Path) -> None:
    sequence = read_sequence(draw_sequence("square", 5))
    run = run_sequence(MovesRight(2.5), sequence)
    write_boxes(tmp_path / "square.txt", run.boxes)
    (scored,) = score_boxes(tmp_path, [sequence])
    assert scored.scores == run.scores
    assert scored.wall_ms is None


def test_a_first_box_that_the_tracker_does_not_take_is_named(draw_sequence: DrawSequence) -> None:
    sequence = read_sequence(draw_sequence("square", 3))
    truth = sequence.truth.copy()
    truth[0, 2:] = 3
    with pytest.raises(SequenceInvalid, match="square, frame 1: no tracker can start with its box: w is 3 px"):
        run_sequence(ModelTracker(load_tracker("dummy")), replace(sequence, truth=truth))


def test_a_box_file_of_the_wrong_length_is_named(draw_sequence: DrawSequence, tmp_path: Path) -> None:
    sequence = read_sequence(draw_sequence("square", 5))
    write_boxes(tmp_path / "square.txt", sequence.truth[:3])
    with pytest.raises(SequenceInvalid, match=r"square\.txt: 3 predicted boxes for 5 frames"):
        score_boxes(tmp_path, [sequence])


class SometimesFails:
    """Behaves as OpenCV's trackers do: whole numbers in, (ok, box) out."""

    def __init__(self, answers: list[tuple[bool, tuple[int, int, int, int]]]) -> None:
        self._answers = iter(answers)
        self.box: tuple[int, int, int, int] | None = None

    def init(self, frame: ByteArray, box: tuple[int, int, int, int]) -> None:
        self.box = box

    def update(self, frame: ByteArray) -> tuple[bool, tuple[int, int, int, int]]:
        return next(self._answers)


def test_opencv_trackers_get_whole_pixels_inside_the_frame_and_repeat_their_last_box() -> None:
    inner = SometimesFails([(True, (5, 6, 7, 8)), (False, (0, 0, 0, 0)), (True, (1, 2, 3, 4))])
    tracker = OpenCvTracker(inner)
    frame = np.zeros((100, 50, 3), np.uint8)
    tracker.start(frame, Box(-3.0, 90.4, 20.6, 30.0))
    assert inner.box == (0, 90, 18, 10)
    boxes, scores, states = zip(*(tracker.follow(frame, 0.0) for _ in range(3)), strict=True)
    assert boxes == (Box(5, 6, 7, 8), Box(5, 6, 7, 8), Box(1, 2, 3, 4))
    assert scores == (1, 0, 1)
    assert states == (State.TRACKING, State.LOST, State.TRACKING)


def test_a_peer_that_cannot_run_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable, match="--nano DIR"):
        peer_factory(Peer.NANO, None)
    for name in ("TrackerCSRT", "TrackerCSRT_create"):
        monkeypatch.delattr(cv2, name, raising=False)
    with pytest.raises(PeerUnavailable, match="pip install opencv-contrib-python-headless"):
        peer_factory(Peer.CSRT, None)


@pytest.mark.skipif(not hasattr(cv2, "TrackerNano"), reason="this OpenCV has no TrackerNano")
def test_a_missing_graph_of_nano_is_named(tmp_path: Path) -> None:
    with pytest.raises(PeerUnavailable, match=r"nanotrack_backbone_sim\.onnx: no such file"):
        peer_factory(Peer.NANO, tmp_path)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("peer", "name", "sequence"), [("kcf", "kcf", "jumping_face"), ("nano", "opencv_nano_v2", "panda")]
)
def test_published_baselines_are_reproduced(shared: Path, peer: str, name: str, sequence: str) -> None:
    if peer == "kcf" and not hasattr(cv2, "TrackerKCF") and not hasattr(cv2, "TrackerKCF_create"):
        pytest.skip("KCF needs the contrib build of OpenCV")
    report = json.loads((shared / "data/eval_baselines/eval.json").read_text())
    expected = report["trackers"][name]["sequences"][sequence]
    make = peer_factory(Peer(peer), shared / "weights/nanotrack/v2")
    scores = run_sequence(make(), read_sequence(shared / "data/eval" / sequence)).scores
    for key in ("auc", "precision20", "ao", "sr50", "sr75", "frames"):
        assert getattr(scores, key) == pytest.approx(expected[key], abs=1e-3)


def test_evaluating_imports_no_torch() -> None:
    code = "import sys, training.evaluation.ope, training.evaluation.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
