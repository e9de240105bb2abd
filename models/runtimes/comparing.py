"""How far the answers of two runtimes are apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from models.runtimes.base import Best

BOX_TOLERANCE_PX = 1e-2
"""Float32 in another order of the same sums: at most 7e-3 px and 2e-5 were seen over all variants and runtimes with
random weights, 7e-5 px and 5e-7 with NanoTrack's trained ones."""
SCORE_TOLERANCE = 1e-4
LIMITS = f"{BOX_TOLERANCE_PX:g} px and {SCORE_TOLERANCE:g} of the score"


class Difference(NamedTuple):
    """How far two answers for the same targets are apart, at most."""

    box_px: float
    """of cx, cy, w, h"""
    score: float
    """of score, penalty and ranking"""
    other_choices: int
    """targets for which another candidate was chosen"""

    @property
    def negligible(self) -> bool:
        """Whether it is rounding: numbers that are not finite are not."""
        return self.box_px <= BOX_TOLERANCE_PX and self.score <= SCORE_TOLERANCE and not self.other_choices

    def __str__(self) -> str:
        choices = f", and {self.other_choices} targets by their choice" if self.other_choices else ""
        return f"{self.box_px:.2g} px and {self.score:.2g} of the score{choices}"


def difference(found: Best, expected: Best) -> Difference:
    """Between two answers for the same targets."""
    apart = np.abs(found.best - expected.best)
    return Difference(float(apart[:, :4].max()), float(apart[:, 4:7].max()), int((apart[:, 7] > 0).sum()))


def largest(differences: Iterable[Difference]) -> Difference:
    """The largest of each; NaN where one is."""
    boxes, scores, choices = zip(*differences, strict=True)
    return Difference(float(np.max(boxes)), float(np.max(scores)), sum(choices))
