"""A published network as it learns: SGD, a schedule in phases, parts that begin to learn one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn

from models.spec import SpecInvalid
from training import precision
from training.feeding import Batch
from training.fit_recipe import Group, Norms, StagedFitRecipe
from training.frozen import FeatureFunction
from training.losses import Losses
from training.pretrained import load_backbone
from training.schedule import phase_rate


class Objective(Protocol):
    """What families of published networks differ in."""

    def outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """The network's raw outputs."""

    def losses(self, outputs: tuple[Tensor, ...], batch: Batch) -> Losses:
        """Of these outputs, in float32."""


class StagedTask:
    """Obeys `training.tasks.task.Task`."""

    def __init__(self, network: nn.Module, fit: StagedFitRecipe, objective: Objective) -> None:
        """Raises SpecInvalid if a group names nothing of the network."""
        self.network, self._fit, self._objective = network, fit, objective
        self._members = members(network, fit.groups)
        self._starts = sorted({group.from_epoch for group in fit.groups if group.from_epoch >= 0})

    def take_first_weights(self) -> str:
        """The backbone's, from a file."""
        if not self._fit.backbone:
            return "all weights begin with noise"
        return load_backbone(self.network, Path(os.path.expandvars(self._fit.backbone)))

    def features(self, device: torch.device) -> FeatureFunction:
        """Crops as they are."""
        return lambda crops: crops

    def optimiser(self) -> torch.optim.Optimizer:
        """One or two groups for each of the recipe's: with decay, and without."""
        fit = self._fit
        groups = []
        for group, parameters in zip(fit.groups, self._members, strict=True):
            decaying = [each for each in parameters if each.ndim > 1 or fit.decays_biases]
            others = [each for each in parameters if each.ndim <= 1 and not fit.decays_biases]
            for chosen, decay in ((decaying, fit.weight_decay), (others, 0.0)):
                if chosen:
                    groups.append({"params": chosen, "base_rate": group.rate, "weight_decay": decay})
        return torch.optim.SGD(groups, lr=fit.phases[0].first, momentum=fit.momentum, nesterov=fit.nesterov)

    def rate(self, step: int) -> float:
        """The learning rate itself; base rates are shares of it."""
        return phase_rate(self._fit.phases, step, self._fit.epoch_steps)

    def stage(self, step: int) -> int:
        """How many of the groups' first epochs have come."""
        epoch = step // self._fit.epoch_steps
        return sum(start <= epoch for start in self._starts)

    def enter(self, stage: int) -> None:
        """Lets the groups learn whose epoch has come."""
        started = set(self._starts[:stage])
        pairs = zip(self._fit.groups, self._members, strict=True)
        learning = {id(each) for group, members in pairs if group.from_epoch in started for each in members}
        self.network.train()
        for module in self.network.modules():
            is_norm = isinstance(module, nn.BatchNorm2d)
            goes_on = is_norm and self._fit.norms is Norms.LEARN
            for each in module.parameters(recurse=False):
                each.requires_grad_(goes_on or id(each) in learning)
            if is_norm:
                module.train(goes_on or id(module.weight) in learning)

    def forgets(self, stage: int) -> bool:
        """As the recipe says."""
        return self._fit.restarts_momentum

    def losses(self, batch: Batch) -> Losses:
        """Runs the network in the recipe's precision and the losses in float32."""
        with precision.forward_in(self._fit.precision, batch.search.device):
            outputs = self._objective.outputs(batch)
        return self._objective.losses(tuple(output.float() for output in outputs), batch)


def members(network: nn.Module, groups: tuple[Group, ...]) -> list[list[nn.Parameter]]:
    """The parameters of each group; one that several groups name belongs to the first of them.

    Raises SpecInvalid for a name that is none of the network's."""
    taken: set[str] = set()
    result = []
    for group in groups:
        chosen: dict[str, nn.Parameter] = {}
        for name in group.modules:
            found = dict(_below(network, name))
            if not found:
                raise SpecInvalid(f"fit.groups: the network has nothing of the name {name!r}")
            chosen |= {key: value for key, value in found.items() if key not in taken}
        taken |= chosen.keys()
        result.append(list(chosen.values()))
    return result


def _below(network: nn.Module, name: str) -> Iterator[tuple[str, nn.Parameter]]:
    return ((key, value) for key, value in network.named_parameters() if key == name or key.startswith(f"{name}."))
