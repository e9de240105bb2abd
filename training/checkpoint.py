"""Checkpoints: everything a run needs to go on as if it had not stopped."""

from __future__ import annotations

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


def save(path: Path, content: dict[str, Any]) -> Path:
    """Writes the file so that a kill at any moment leaves the old or the new one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    torch.save(content, temporary)
    return temporary.replace(path)


def load(path: Path) -> dict[str, Any]:
    """A checkpoint's content; tensors and plain data only, never code."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content
