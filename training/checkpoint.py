"""Checkpoints: everything a run needs to go on as if it had not stopped."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.importing.checkpoints import CheckpointInvalid

LAST = "last.pt"
_KEPT = ("step", "pairs", "seconds", "average", "recipe", "stages", "commit", "device")
_RESUMABLE = ("network", "optimiser")


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


def load(path: Path, *, resumable: bool = False) -> dict[str, Any]:
    """A checkpoint's content; tensors and plain data only, never code.

    resumable: with the network and the optimiser, which copies of the averaged weights lack. Raises CheckpointInvalid
    for any other file and one that was cut short."""
    with path.open("rb") as file:
        # torch tells of what is no archive in as many ways as there are files.
        if not zipfile.is_zipfile(file):
            raise CheckpointInvalid(f"{path}: is no checkpoint of a training run, or not a whole one")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, ValueError, LookupError, EOFError, pickle.UnpicklingError) as error:
        raise CheckpointInvalid(f"{path}: is no checkpoint of a training run, or not a whole one") from error
    keys = (*_KEPT, *_RESUMABLE) if resumable else _KEPT
    missing = [key for key in keys if key not in content] if isinstance(content, dict) else keys
    if missing:
        raise CheckpointInvalid(f"{path}: is no checkpoint of a training run: it lacks {missing[0]!r}")
    return dict(content)
