"""Lockon as a tracker of the got10k toolkit:

    ExperimentOTB(root).run(LockonTracker("siamfcpp_light"))

It has what the toolkit's experiments call, and does not import the toolkit.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from models.frames import Picture
from models.geometry import Box
from models.package import DEFAULT_MODEL, load_tracker
from models.runtimes.base import ByteArray
from models.target import Target
from training.evaluation.sequences import USUAL_FPS, read_frame


class LockonTracker:
    """One model as a tracker of that toolkit. Boxes are x, y, w, h with the data set's numbers."""

    is_deterministic = True

    def __init__(self, model: str = DEFAULT_MODEL, name: str | None = None) -> None:
        self.name = name or f"Lockon {Path(model).name}"
        self._tracker = load_tracker(model)
        self._target: Target | None = None
        self._followed = 0

    def init(self, image: Image.Image, box: Sequence[float]) -> None:
        """Starts on the first image, RGB."""
        self._start(_bgr(image), box)

    def update(self, image: Image.Image) -> NDArray[np.float64]:
        """(4,) the box in the next image."""
        return self._follow(_bgr(image))

    def track(
        self, img_files: Sequence[str], box: Sequence[float], visualize: bool = False
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, 4) boxes and (N,) seconds, without reading the files, which are read as everywhere in Lockon: the boxes
        are those of `lockon evaluate`. Nothing is visualised."""
        boxes, times = np.zeros((len(img_files), 4)), np.zeros(len(img_files))
        boxes[0] = box
        for number, file in enumerate(img_files):
            frame = read_frame(Path(file))
            before = time.perf_counter()
            if number == 0:
                self._start(frame, box)
            else:
                boxes[number] = self._follow(frame)
            times[number] = time.perf_counter() - before
        return boxes, times

    def _start(self, frame: ByteArray, box: Sequence[float]) -> None:
        self._target, self._followed = self._tracker.start(frame, Box(*map(float, box))), 0

    def _follow(self, frame: ByteArray) -> NDArray[np.float64]:
        assert self._target is not None, "init comes first"
        self._followed += 1
        estimate = self._tracker.follow(self._target, Picture.of(frame, self._followed / USUAL_FPS))
        return np.array(estimate.box.xywh())


def _bgr(image: Image.Image) -> ByteArray:
    return np.asarray(cv2.cvtColor(np.asarray(image.convert("RGB")), cv2.COLOR_RGB2BGR), np.uint8)
