"""Checkpoints: everything a run needs to go on as if it had not stopped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

LAST = "last.pt"


class Average:
    """Exponential moving average of a network's weights (and a plain copy of its buffers)."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._decay = decay
        self.state: dict[str, Tensor] = {key: value.detach().clone() for key, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Moves towards the network's weights; faster in the first steps, when the average is still of noise."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                self.state[key].lerp_(value, 1 - decay)
            else:
                self.state[key].copy_(value)


def mean_weights(states: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of several networks' weights, from different times of one run; counters are the last one's.

    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018. The statistics of
    batch norm are averaged as well: those of weights this close to each other differ little."""
    return {
        key: torch.stack([state[key] for state in states]).mean(0) if value.is_floating_point() else value
        for key, value in states[-1].items()
    }


def save(path: Path, content: dict[str, Any]) -> Path:
    """Writes the file so that a kill at any moment leaves the old or the new one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    torch.save(content, temporary)
    return temporary.replace(path)


def save_text(path: Path, text: str) -> None:
    """Writes a text beside a checkpoint in the same way."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def load(path: Path) -> dict[str, Any]:
    """A checkpoint's content; tensors and plain data only, never code."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content
