"""Drawn sequences: a bright square that moves over a textured ground."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

DrawSequence = Callable[..., Path]


@pytest.fixture
def draw_sequence(tmp_path: Path) -> DrawSequence:
    """Draws `name` with `count` frames into tmp_path/set and returns its folder."""

    def draw(name: str, count: int = 6, absent: tuple[int, ...] = (), separator: str = ",") -> Path:
        folder = tmp_path / "set" / name
        (folder / "img").mkdir(parents=True)
        ground = np.random.default_rng(7).integers(60, 100, (120, 160, 3), np.uint8)
        thing = np.random.default_rng(8).integers(0, 255, (24, 24, 3), np.uint8)
        lines = []
        for index in range(count):
            x, y = 40 + 3 * index, 50 + index
            frame = ground.copy()
            frame[y : y + 24, x : x + 24] = thing
            cv2.imwrite(str(folder / "img" / f"{index + 1:08d}.png"), frame)
            lines.append(separator.join(["nan"] * 4 if index in absent else map(str, (x, y, 24, 24))))
        (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n")
        return folder

    return draw
