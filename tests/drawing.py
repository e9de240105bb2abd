"""Sequences that tests draw: a textured square that moves over noise, and the files of their frames."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from models.geometry import Box
from models.runtimes.base import ByteArray


@dataclass(frozen=True, slots=True)
class Drawing:
    """A moving square; the same seed gives the same frames. Speeds in pixels per frame."""

    seed: int = 0
    width: int = 320
    height: int = 240
    side: int = 40
    speed_x: float = 3.0
    speed_y: float = 1.0

    def box(self, index: int) -> Box:
        """Where the square is in frame `index`: it goes to and fro inside the frame."""
        x = _to_and_fro(20 + self.seed * 7 + index * self.speed_x, self.width - self.side)
        y = _to_and_fro(30 + self.seed * 5 + index * self.speed_y, self.height - self.side)
        return Box(float(x), float(y), float(self.side), float(self.side))

    def frame(self, index: int) -> ByteArray:
        """(height, width, 3) uint8 BGR."""
        rng = np.random.default_rng(self.seed)
        picture = rng.integers(0, 80, (self.height, self.width, 3), np.uint8)
        coarse = rng.integers(90, 255, (8, 8, 3), np.uint8)
        square = cv2.resize(coarse, (self.side, self.side), interpolation=cv2.INTER_NEAREST)
        box = self.box(index)
        x, y = int(box.x), int(box.y)
        picture[y : y + self.side, x : x + self.side] = square
        return picture

    def jpeg(self, index: int) -> bytes:
        """The frame as a JPEG file."""
        return jpeg(self.frame(index))

    def jpegs(self, count: int) -> Iterator[bytes]:
        """The first `count` frames as JPEG files."""
        return (self.jpeg(index) for index in range(count))

    def write_sequence(self, folder: Path, count: int, absent: Container[int] = (), separator: str = ",") -> Path:
        """Makes `folder` with `img/*.png` and `groundtruth.txt`, where `absent` frames have no box; returns it."""
        (folder / "img").mkdir(parents=True)
        lines = []
        for index in range(count):
            (folder / "img" / f"{index + 1:08d}.png").write_bytes(encoded(self.frame(index), ".png"))
            numbers = [math.nan] * 4 if index in absent else self.box(index).xywh()
            lines.append(separator.join(f"{number:g}" for number in numbers))
        (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n")
        return folder


def jpeg(picture: NDArray[Any], quality: int = 90) -> bytes:
    """A picture as a JPEG file."""
    return encoded(picture, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)


def encoded(picture: NDArray[Any], extension: str, *parameters: int) -> bytes:
    """A picture as a file of the kind that the extension names."""
    done, file = cv2.imencode(extension, picture, list(parameters))
    assert done
    return file.tobytes()


def _to_and_fro(position: float, end: int) -> int:
    return int(end - abs(position % (2 * end) - end))
