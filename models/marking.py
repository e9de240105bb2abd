"""How the box that a target was started with differs from what the network draws around the same target: people draw
tighter or wider, with or without the swinging arms. The network looks at the target in the very frame in which it was
marked, and what its box lacks there its boxes are given from then on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from models.geometry import Box, Size

MOST = 2.0
"""A box that differs by more than this factor differs by so much."""


class Marking(NamedTuple):
    """What the network's widths and heights are multiplied with."""

    width: float = 1.0
    height: float = 1.0

    @classmethod
    def of(cls, marked: Box, drawn: Box, share: float) -> Marking:
        """From the network's box for the marked target; one of something else, or of no numbers, says nothing.

        `share`, 0..1: how much of the difference is given, as a power. Some of it is of that one frame only, such as a
        step's wide legs."""
        same = abs(drawn.cx - marked.cx) < marked.w / 2 and abs(drawn.cy - marked.cy) < marked.h / 2
        if not (same and drawn.is_finite()):
            return cls()
        return cls(_ratio(marked.w, drawn.w) ** share, _ratio(marked.h, drawn.h) ** share)

    def as_drawn(self, size: Size) -> Size:
        """The size in which the network would draw a target that is marked in this one."""
        return Size(size.w / self.width, size.h / self.height)

    def as_marked(self, best: Sequence[float]) -> list[float]:
        """A row of the network's `best` with the width and height that would have been marked."""
        cx, cy, w, h, *others = best
        return [cx, cy, w * self.width, h * self.height, *others]


AS_DRAWN = Marking()


def _ratio(marked: float, drawn: float) -> float:
    return marked / min(max(drawn, marked / MOST), marked * MOST)
