"""Sequences as files, drawn where a test wants them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.drawing import Drawing

DrawSequence = Callable[..., Path]
DRAWING = Drawing(width=160, height=120, side=24)


@pytest.fixture
def draw_sequence(tmp_path: Path) -> DrawSequence:
    """Draws `name` with `count` frames of DRAWING into tmp_path/set and returns its folder."""

    def draw(name: str, count: int = 6, absent: tuple[int, ...] = (), separator: str = ",") -> Path:
        return DRAWING.write_sequence(tmp_path / "set" / name, count, absent, separator)

    return draw
