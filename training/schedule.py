"""Learning rate over steps: linear warm-up, then cosine to zero."""

from __future__ import annotations

import math


def rate_at(step: int, steps: int, warmup: int) -> float:
    """The factor (0..1) on the learning rate of `step` (0-based) of `steps`."""
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup)))
