"""The port between the training loop and a family of networks."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from training.feeding import Batch
from training.frozen import FeatureFunction
from training.losses import Losses


class Task(Protocol):
    """A network that can learn. Steps are counted from 0."""

    @property
    def network(self) -> nn.Module:
        """What learns; its state dict is what is kept."""

    def take_first_weights(self) -> str:
        """Loads what the recipe begins with, where that is no checkpoint; returns a line that says what it was."""

    def features(self, device: torch.device) -> FeatureFunction:
        """What is done to crops ahead of time: (B, S, S, 3) uint8 BGR -> a batch's `template` and `search`."""

    def optimiser(self) -> Optimizer:
        """A new one for all that will ever learn; each of its groups has a `base_rate`."""

    def rate(self, step: int) -> float:
        """What the base rates are multiplied by."""

    def stage(self, step: int) -> int:
        """Rises whenever other parts of the network learn than before."""

    def enter(self, stage: int) -> None:
        """Lets the stage's parts learn and no others, and sets batch norm to its modes."""

    def forgets(self, stage: int) -> bool:
        """Whether the optimiser's memory is emptied at the beginning of the stage."""

    def losses(self, batch: Batch) -> Losses:
        """Runs the network."""
