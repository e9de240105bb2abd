"""Drawn squares, and a runtime that answers what a test says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from models.geometry import Box, intersection_over_union
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.dummy import DUMMY_SPEC
from models.runtimes.kinds import Precision
from models.spec import LoopSpec, LostSearch, PresenceSpec

SQUARES = (
    (100, 30, 4.0, 0.25, (40, 200, 250)),
    (500, 290, -3.0, -0.5, (250, 80, 20)),
    (60, 150, 2.0, 0.5, (20, 250, 60)),
)
"""x, y, dx, dy, colour; their ways do not cross."""


def drawn_frame(index: int) -> ByteArray:
    """Three squares of 48 px that move on quiet noise, 640 x 360."""
    frame = np.random.default_rng(5).integers(0, 50, (360, 640, 3), dtype=np.uint8)
    for which, (*_, colour) in enumerate(SQUARES):
        box = drawn_box(which, index)
        cv2.rectangle(frame, (int(box.x), int(box.y)), (int(box.x) + 47, int(box.y) + 47), colour, -1)
    return frame


def drawn_box(which: int, index: int) -> Box:
    x, y, dx, dy, _ = SQUARES[which]
    return Box(float(int(x + dx * index)), float(int(y + dy * index)), 48.0, 48.0)


def overlap(a: Box, b: Box) -> float:
    return float(intersection_over_union(np.array(a.xywh()), np.array(b.xywh())))


class ScriptedRuntime:
    """Answers every target of a call with the same numbers, and keeps what it was asked."""

    name = "scripted"
    device = "cpu"
    precision = Precision.F32

    def __init__(self, best: Sequence[float], peak2: tuple[float, float] = (0.25, 30.0)) -> None:
        """best: cx, cy, w, h, score, penalty; the ranking is the score, the index 7."""
        self.best = [*best, best[4], 7.0]
        self.peak2 = peak2
        self.sizes: list[FloatArray] = []
        self.loops: list[FloatArray] = []
        self.crop_sizes: list[int] = []
        self.features: list[Features] = []

    def template(self, crops: ByteArray) -> list[Features]:
        return [(crop.mean(axis=(0, 1)).astype(np.float32),) for crop in crops]

    def joined(self, templates: Sequence[Features]) -> Features:
        return (np.stack([template[0] for template in templates]),)

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        self.sizes.append(size)
        self.crop_sizes.append(crops.shape[1])
        self.features += features
        self.loops.append(loop)
        rows = len(crops)
        return Best(
            np.tile(np.array(self.best, np.float32), (rows, 1)), np.tile(np.array(self.peak2, np.float32), (rows, 1))
        )


SPEC = replace(
    DUMMY_SPEC,
    loop=LoopSpec(penalty_k=0.1, window_influence=0.3, size_lr=0.5, min_size=4.0),
    presence=PresenceSpec(
        lost=0.4,
        fallen=0.0,
        leave=0.4,
        enter=0.6,
        reacquire=0.8,
        lost_after_s=0.08,
        reacquire_after=1,
        search=LostSearch.AROUND,
    ),
)
MIDDLE = (112.0, 112.0)
FRAME = np.full((240, 320, 3), 90, np.uint8)
BOX = Box(100, 80, 50, 50)  # its search window is 200 px wide, so a crop pixel is 200 / 224 frame pixels
