"""FEAR-XS with its published weights as a `SequenceTracker`, to compare with; no part of the product.

Networks, sizes and rules are those of FEARTracker (PinataFarms, MIT): windows of 1.4 and 5 times the box, in width and
in height by themselves; the best cell is taken without penalty, window or smoothing; boxes are whole pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import onnxruntime as ort  # type: ignore[import-untyped]
from numpy.typing import NDArray

from models.geometry import Box
from models.presence import State
from models.runtimes.base import ByteArray, FloatArray
from models.runtimes.onnx import session
from training.evaluation.ope import Answer

TEMPLATE_SIZE, SEARCH_SIZE, STRIDE = 128, 256, 16
TEMPLATE_MARGIN, SEARCH_MARGIN = 0.2, 2.0
"""What is added to the box on each side, as a share of its width and of its height."""
SMALLEST = 3
"""Pixels of a side, at least."""
MEAN = np.array([0.485, 0.456, 0.406], np.float32)[:, None, None]
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)[:, None, None]
"""Of ImageNet's pictures, RGB, 0..1."""


class Pixels(NamedTuple):
    """A box of whole frame pixels."""

    x: int
    y: int
    w: int
    h: int


class FearTracker:
    """Follows one target on one thread. It never says that the target is gone."""

    def __init__(self, networks: FearNetworks) -> None:
        self._networks = networks
        self._box = Pixels(0, 0, 0, 0)
        self._mean: tuple[float, ...] = ()
        self._features: Any = None

    def start(self, frame: ByteArray, box: Box) -> None:
        """Starts on the box, rounded and within the frame; outside of the frame there is its mean colour."""
        self._box = within(Pixels(*map(round, box.xywh())), frame)
        self._mean = tuple(frame.mean((0, 1)))
        crop = cut(frame, enlarged(self._box, TEMPLATE_MARGIN), TEMPLATE_SIZE, self._mean)
        self._features = self._networks.features(crop)

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """The newest box, and the sigmoid of its score."""
        window = enlarged(self._box, SEARCH_MARGIN)
        logits, distances = self._networks.search(cut(frame, window, SEARCH_SIZE, self._mean), self._features)
        row, column = np.unravel_index(logits.argmax(), logits.shape)
        middle = np.array([column, row]) * STRIDE + SEARCH_SIZE // 2 - STRIDE * np.array(logits.shape)[::-1] // 2
        left, top, right, bottom = map(float, distances[:, row, column])
        scale_x, scale_y = window.w / SEARCH_SIZE, window.h / SEARCH_SIZE
        found = Pixels(
            round((middle[0] - left) * scale_x + window.x),
            round((middle[1] - top) * scale_y + window.y),
            round((left + right) * scale_x),
            round((top + bottom) * scale_y),
        )
        self._box = within(found, frame)
        score = 1 / (1 + np.exp(-float(logits[row, column])))
        return Answer(Box(*map(float, self._box)), score, State.TRACKING)


@dataclass(frozen=True, slots=True)
class FearNetworks:
    """The two graphs, each on one thread."""

    template: ort.InferenceSession
    finder: ort.InferenceSession

    @classmethod
    def read(cls, folder: Path) -> FearNetworks:
        """From the two files in a folder."""
        graphs = (session(path, 1, ["CPUExecutionProvider"]) for path in fear_files(folder))
        return cls(*graphs)

    def features(self, crop: ByteArray) -> FloatArray:
        """(1, 256, 8, 8) of a (128, 128, 3) BGR template crop."""
        return cast("FloatArray", self.template.run(["features"], {"image": _normalised(crop)})[0])

    def search(self, crop: ByteArray, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(16, 16) logits and (4, 16, 16) distances left, top, right, bottom in crop pixels of a (256, 256, 3) crop."""
        inputs = {"image": _normalised(crop), "template_features": features}
        logits, distances = self.finder.run(["cls", "bbox"], inputs)
        return logits[0, 0], distances[0]


def fear_files(folder: Path) -> tuple[Path, Path]:
    """The graphs of template and search."""
    return folder / "fear_xs_template.onnx", folder / "fear_xs_search.onnx"


def fear_factory(folder: Path) -> Callable[[], FearTracker]:
    """Makes trackers that share the networks."""
    networks = FearNetworks.read(folder)
    return lambda: FearTracker(networks)


def enlarged(box: Pixels, margin: float) -> Pixels:
    """The box with a margin, cut to whole pixels towards 0 as the published code does."""
    x, y, w, h = box
    return Pixels(int(x - w * margin), int(y - h * margin), int(w * (1 + 2 * margin)), int(h * (1 + 2 * margin)))


def within(box: Pixels, frame: ByteArray) -> Pixels:
    """The box within the frame: its corner is moved inside first, and keeps its size where there is room."""
    height, width = frame.shape[:2]
    x, y, w, h = box
    x, y = min(max(x, 0), width), min(max(y, 0), height)
    w, h = max(SMALLEST, min(w, width - x)), max(SMALLEST, min(h, height - y))
    return Pixels(min(x, width - w), min(y, height - h), w, h)


def cut(frame: ByteArray, window: Pixels, size: int, colour: tuple[float, ...]) -> ByteArray:
    """(size, size, 3) uint8 BGR of a window that may reach beyond the frame; its aspect is not kept."""
    height, width = frame.shape[:2]
    left, top = max(-window.x, 0), max(-window.y, 0)
    right, bottom = max(window.x + window.w - width, 0), max(window.y + window.h - height, 0)
    inside = frame[window.y + top : window.y + window.h - bottom, window.x + left : window.x + window.w - right]
    padded = cv2.copyMakeBorder(inside, top, bottom, left, right, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(cv2.resize(padded, (size, size)), np.uint8)


def _normalised(crop: NDArray[np.uint8]) -> FloatArray:
    """(1, 3, size, size) RGB as the networks take it."""
    planes = crop.transpose(2, 0, 1)[::-1].astype(np.float32, order="C")
    planes *= 1 / (255 * DEVIATION)
    planes -= MEAN / DEVIATION
    return planes[None]
