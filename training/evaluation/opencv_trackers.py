"""OpenCV's CSRT, KCF and TrackerNano as `SequenceTracker`s, to compare with."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

import cv2

from models.geometry import Box
from models.presence import State
from models.runtimes.base import ByteArray
from training.evaluation.ope import Answer

NANO_BACKBONE = "nanotrack_backbone_sim.onnx"
NANO_HEAD = "nanotrack_head_sim.onnx"
INSTALL_CONTRIB = "pip uninstall -y opencv-python-headless && pip install opencv-contrib-python-headless"


class Peer(StrEnum):
    """Trackers of OpenCV that can run beside a model."""

    CSRT = "csrt"
    KCF = "kcf"
    NANO = "nano"


class PeerUnavailable(RuntimeError):
    """A peer cannot run with what is installed or given; the message says what to do."""


class OpenCvTracker:
    """One of OpenCV's trackers, which take whole pixels; when it reports failure, its last box is repeated."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker
        self._box = Box(0, 0, 0, 0)

    def start(self, frame: ByteArray, box: Box) -> None:
        """Starts on the box, clipped to the frame and rounded."""
        self._box = box
        height, width = frame.shape[:2]
        right, bottom = min(box.x + box.w, width), min(box.y + box.h, height)
        x, y = max(box.x, 0.0), max(box.y, 0.0)
        self._tracker.init(frame, (round(x), round(y), max(1, round(right - x)), max(1, round(bottom - y))))

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """The newest box; the score is TrackerNano's own, for the others 1 when found and 0 when not."""
        found, box = self._tracker.update(frame)
        if found:
            self._box = Box(*map(float, box))
        state = State.TRACKING if found else State.LOST
        if hasattr(self._tracker, "getTrackingScore"):
            return Answer(self._box, float(self._tracker.getTrackingScore()), state)
        return Answer(self._box, float(found), state)


def peer_factory(peer: Peer, nano_folder: Path | None) -> Callable[[], OpenCvTracker]:
    """Makes fresh trackers of one kind; raises PeerUnavailable at once when they could not be made."""
    if peer is Peer.NANO:
        return _nano_factory(nano_folder)
    name = {Peer.CSRT: "TrackerCSRT", Peer.KCF: "TrackerKCF"}[peer]
    # OpenCV 5 has the classes' `create`, older versions only the function.
    create = getattr(getattr(cv2, name, None), "create", None) or getattr(cv2, f"{name}_create", None)
    if create is None:
        raise PeerUnavailable(f"{peer} is not in this OpenCV; get the contrib build: {INSTALL_CONTRIB}")
    return lambda: OpenCvTracker(create())


def _nano_factory(folder: Path | None) -> Callable[[], OpenCvTracker]:
    if folder is None:
        raise PeerUnavailable(f"nano needs the folder with {NANO_BACKBONE} and {NANO_HEAD}: --nano DIR")
    params_of, tracker_of = getattr(cv2, "TrackerNano_Params", None), getattr(cv2, "TrackerNano", None)
    if params_of is None or tracker_of is None:
        raise PeerUnavailable(f"TrackerNano is not in this OpenCV; get the contrib build: {INSTALL_CONTRIB}")
    for name in (NANO_BACKBONE, NANO_HEAD):
        if not (folder / name).is_file():
            raise PeerUnavailable(f"{folder / name}: no such file")
    params = params_of()
    params.backbone, params.neckhead = str(folder / NANO_BACKBONE), str(folder / NANO_HEAD)
    return lambda: OpenCvTracker(tracker_of.create(params))
