"""Learning rate over steps: linear warm-up, a plateau, then half a cosine to zero."""

from __future__ import annotations

import math


def rate_at(step: int, steps: int, warmup: int, decay: int) -> float:
    """The factor (0..1) on the learning rate of `step` (0-based) of `steps`; it falls over the last `decay` steps.

    The plateau lets a run go on while there is time: lengthen `steps` before the decay has begun, and resume."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * max(0, step - (steps - decay)) / max(1, decay)))
