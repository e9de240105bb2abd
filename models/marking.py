"""How the box that a target was started with differs from what the network draws around the same target: people draw
tighter or wider, with or without the swinging arms. The network looks at the target in the very frame in which it was
marked, in a few windows, and what its boxes lack there they are given from then on."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from models.crops import Window
from models.geometry import Box, Size

VIEWS = ((0.0, 0.0, 1.0), (-0.1, -0.1, 0.9), (0.1, -0.1, 1.1), (-0.1, 0.1, 1.1), (0.1, 0.1, 0.9))
"""Windows to look at the marked target in: how far they are moved to the right and down, in their own sides, and how
much larger they are than the usual one. One view alone says half as much, since a box depends on where cells fall."""
MOST = 2.0
"""No width and no height is changed by more than this factor."""


class Marking(NamedTuple):
    """Width and height of the marked box, in those of the network's."""

    width: float = 1.0
    height: float = 1.0

    @classmethod
    def of(cls, marked: Box, drawn: Sequence[Box]) -> Marking:
        """From the network's boxes for the marked target: the median of the ratios, but for boxes of something else."""
        same = [
            box for box in drawn if abs(box.cx - marked.cx) < marked.w / 2 and abs(box.cy - marked.cy) < marked.h / 2
        ]
        if not same:
            return cls()
        return cls(_ratio(marked.w, [box.w for box in same]), _ratio(marked.h, [box.h for box in same]))

    def as_drawn(self, size: Size) -> Size:
        """The size in which the network would draw a target that is marked in this one."""
        return Size(size.w / self.width, size.h / self.height)

    def as_marked(self, best: Sequence[float]) -> list[float]:
        """A row of the network's `best` with the width and height that would have been marked."""
        cx, cy, w, h, *others = best
        return [cx, cy, w * self.width, h * self.height, *others]


AS_DRAWN = Marking()


def views(window: Window) -> list[Window]:
    """The windows to look at a marked target in; `window` is the one around it."""
    cx, cy = window.x + window.side / 2, window.y + window.side / 2
    return [
        Window.around(cx + right * window.side, cy + down * window.side, larger * window.side)
        for right, down, larger in VIEWS
    ]


def _ratio(marked: float, drawn: Sequence[float]) -> float:
    return median(marked / min(max(side, marked / MOST), marked * MOST) for side in drawn)
