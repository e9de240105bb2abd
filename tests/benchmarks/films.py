"""720p frames out of real sequences: the pictures enlarged until the search window has a given side, mirrored outwards.

Scaled to fill the frame, the small pictures at hand would give targets of a quarter of its width, which no camera has.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from lockon_client.windows import Placement

from models.crops import context_side
from models.geometry import Box, Size
from tests.benchmarks.streams import Film
from tests.drawing import jpeg

WIDTH, HEIGHT = 1280, 720
SHARES = {"crossing_person": 0.15, "car4_road": 0.30, "tiger_toy": 0.50}
"""Sequences, and the side of their first search window as a share of the frame's width."""
_SEARCHED = 2.0
"""Sides of a search window per side of the template's, in all the models that are measured."""


@dataclass(frozen=True, slots=True)
class Shots:
    """A film with its pixels, for whoever cuts windows out of it."""

    film: Film
    pictures: list[np.ndarray]
    quality: int
    cuts: dict[tuple[int, Placement], bytes] = field(default_factory=dict)

    def cut(self, index: int, placement: Placement) -> bytes:
        """The file of a picture's window. A camera's owner cuts it from the raw picture; here each is encoded once and
        kept, so that the encoder takes little from the server that is measured on the same machine."""
        if (index, placement) not in self.cuts:
            pixels = placement.cut(self.pictures[index])
            if placement.scaled:
                pixels = cv2.resize(pixels, placement.image_size, interpolation=cv2.INTER_AREA)
            self.cuts[index, placement] = jpeg(pixels, self.quality)
        return self.cuts[index, placement]


def embedded(sequence: Path, share: float, file_bytes: int, count: int) -> Shots:
    """`count` pictures, to and fro so that the target never jumps; the first one's file has about that many bytes."""
    paths = sorted((sequence / "img").glob("*.jpg"))[:count]
    truth = Box(*map(float, np.loadtxt(sequence / "groundtruth.txt", delimiter=",", ndmin=2)[0]))
    scale = share * WIDTH / (_SEARCHED * context_side(Size(truth.w, truth.h), 0.5))
    rows = [[scale, 0, WIDTH / 2 - truth.cx * scale], [0, scale, HEIGHT / 2 - truth.cy * scale]]
    moved = np.array(rows, np.float32)
    pictures = [_embedded(path, moved, seed) for seed, path in enumerate(paths)]
    quality = min(range(50, 97, 3), key=lambda tried: abs(len(jpeg(pictures[0], tried)) - file_bytes))
    files = [jpeg(picture, quality) for picture in pictures]
    box = Box.from_centre(WIDTH / 2, HEIGHT / 2, truth.w * scale, truth.h * scale)
    name = f"{sequence.name}, window {share:.0%} of the width, q{quality}"
    return Shots(Film(name, files + files[-2:0:-1], box), pictures + pictures[-2:0:-1], quality)


def _embedded(path: Path, moved: np.ndarray, seed: int) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert picture is not None, f"{path} cannot be read"
    size = (WIDTH, HEIGHT)
    larger = cv2.warpAffine(picture, moved, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
    # Enlarging leaves no grain, which a camera's picture has and which makes a good part of its file.
    grain = np.random.default_rng(seed).normal(0, 3, (HEIGHT, WIDTH, 1))
    return np.clip(larger + grain, 0, 255).astype(np.uint8)
