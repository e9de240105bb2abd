"""Learning rate over steps: the plateau of our own networks, and the phases of published recipes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from training.fit_recipe import Phase, Shape


def rate_at(step: int, steps: int, warmup: int, decay: int) -> float:
    """The factor (0..1) on the learning rate of `step` (0-based) of `steps`: linear warm-up, a plateau, then half a
    cosine to zero over the last `decay` steps.

    The plateau lets a run go on while there is time: lengthen `steps` before the decay has begun, and resume."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * max(0, step - (steps - decay)) / max(1, decay)))


def phase_rate(phases: Sequence[Phase], step: int, epoch_steps: int) -> float:
    """The learning rate of `step` (0-based), `epoch_steps` of which make an epoch; after all phases, their last one."""
    for phase in phases:
        length = phase.epochs * epoch_steps
        if step < length:
            return _within(phase, step, epoch_steps)
        step -= length
    return phases[-1].last


def _within(phase: Phase, step: int, epoch_steps: int) -> float:
    if phase.each_step:
        share = step / (phase.epochs * epoch_steps)
    else:
        share = (step // epoch_steps) / (phase.epochs - phase.reaches_last)
    match phase.shape:
        case Shape.CONSTANT:
            return phase.first
        case Shape.LINEAR:
            return phase.first + (phase.last - phase.first) * share
        case Shape.COSINE:
            return phase.first + (phase.last - phase.first) * (1 - math.cos(math.pi * share)) / 2
        case Shape.GEOMETRIC:
            return float(phase.first * (phase.last / phase.first) ** share)
