"""One optimiser step: losses in parts, gradients, and the guard against numbers that are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.spec import SpecInvalid
from training import precision
from training.distributed import ALONE, Share, mean_over_processes
from training.feeding import Batch
from training.fit_recipe import FitRecipe, Precision, StagedFitRecipe
from training.losses import Losses
from training.tasks.task import Task


class NotFinite(RuntimeError):
    """The loss or a gradient stopped being a number; the message says which. The weights were not touched."""


class Learner:
    """Task and optimiser."""

    def __init__(
        self, task: Task, fit: FitRecipe | StagedFitRecipe, device: torch.device, share: Share = ALONE
    ) -> None:
        """Raises SpecInvalid for float16 without a GPU."""
        if fit.precision is Precision.FLOAT16 and device.type != "cuda":
            raise SpecInvalid("fit.precision: float16 needs a GPU; on a processor take bfloat16 or float32")
        self.task, self._fit, self._share = task, fit, share
        precision.prepare(task.network, fit.precision, device)
        self.optimiser = task.optimiser()
        self._scaler = torch.amp.GradScaler(device.type, enabled=fit.precision is Precision.FLOAT16)
        self._factor = fit.gradient_factor if isinstance(fit, StagedFitRecipe) else 1.0
        self._stage: int | None = None

    def state(self) -> dict[str, Any]:
        """What a checkpoint needs to go on: the optimiser's memory and the scale of the loss."""
        return {"optimiser": self.optimiser.state_dict(), "scaler": self._scaler.state_dict()}

    def restore(self, state: dict[str, Any], step: int) -> None:
        """Goes on before `step` with what `state` gave; rates and decay stay those of the recipe."""
        own = [{key: group[key] for key in group if key != "params"} for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(state["optimiser"])
        for group, settings in zip(self.optimiser.param_groups, own, strict=True):
            group.update(settings)
        if state.get("scaler"):
            self._scaler.load_state_dict(state["scaler"])
        if step:  # what the last step's stage was: only a later one is new
            self._enter(self.task.stage(step - 1))

    def step(self, step: int, parts: Sequence[Batch]) -> tuple[Losses, float]:
        """Learns from the parts of a step; returns the losses and the gradient's norm before it is clipped.

        Every part weighs the same: where batch norm counts, and targets differ in their number of cells, that is not
        exactly the whole batch's gradient."""
        if (stage := self.task.stage(step)) != self._stage:
            begun = self._stage is not None
            self._enter(stage)
            if begun and self.task.forgets(stage):
                self.optimiser.state.clear()
        rate = self.task.rate(step)
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_rate"] * rate
        self.optimiser.zero_grad(set_to_none=True)
        losses = torch.stack([self._learn(part, last=part is parts[-1], count=len(parts)) for part in parts]).mean(0)
        self._scaler.unscale_(self.optimiser)
        norm = nn.utils.clip_grad_norm_(self._learning(), self._fit.gradient_clip or math.inf).item()
        if not math.isfinite(norm):
            if not self._scaler.is_enabled():
                raise NotFinite(f"the gradient's norm is {norm}")
            norm = 0.0  # a scaled loss overflows now and then: the scaler leaves the step out and takes a smaller scale
        self._scaler.step(self.optimiser)
        self._scaler.update()
        return Losses(*mean_over_processes(losses)), norm

    def _enter(self, stage: int) -> None:
        self.task.enter(stage)
        self._stage = stage
        self._forward: nn.Module = _Forward(self.task)
        if self._share.world > 1:
            # Anew for every stage: it looks only once which parameters learn.
            self._forward = DistributedDataParallel(self._forward)

    def _learn(self, part: Batch, *, last: bool, count: int) -> Tensor:
        """Adds a part's gradient; returns its losses."""
        forward = self._forward
        # Processes tell each other their gradients once, with the last part.
        with forward.no_sync() if isinstance(forward, DistributedDataParallel) and not last else nullcontext():
            losses: Losses = forward(part)
            if not math.isfinite(losses.total.item()):
                raise NotFinite(f"the loss is {losses.total.item()}")
            self._scaler.scale(losses.total * (self._factor / count)).backward()  # type: ignore[no-untyped-call]
        return losses.stacked()

    def _learning(self) -> list[nn.Parameter]:
        return [each for each in self.task.network.parameters() if each.requires_grad]


class _Forward(nn.Module):
    """The task as a module, whose gradients torch can share between processes."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network, self._task = task.network, task

    def forward(self, batch: Batch) -> Losses:
        return self._task.losses(batch)
