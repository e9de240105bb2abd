"""What a score means: the probability that the box is on the target."""

from __future__ import annotations

import math

from models.spec import CalibrationSpec

NEAREST = 1e-4
"""Scores count as at least that far from 0 and from 1, where their logarithms would have no end."""
LARGEST_EXPONENT = 700.0
"""exp() overflows a little later; the probability is 1e-304 there."""


def logit(score: float) -> float:
    """log(s / (1 - s)) of a score 0..1."""
    inside = min(max(score, NEAREST), 1 - NEAREST)
    return math.log(inside / (1 - inside))


def probability(score: float, spec: CalibrationSpec | None) -> float:
    """1 / (1 + exp(-(a logit(score) + c))) with the numbers of `spec` (Platt, "Probabilistic outputs for support vector
    machines", 1999); the score itself for a model without them."""
    if spec is None:
        return score
    return 1 / (1 + math.exp(min(-(spec.score * logit(score) + spec.offset), LARGEST_EXPONENT)))
