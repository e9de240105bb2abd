"""One optimiser step: forward in parts, losses, gradients, and the guard against numbers that are none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from models.networks.backbones.efficientnet_lite import EfficientNetLite0
from models.networks.siamfcpp_light import SiamFCppLight
from training import precision
from training.feeding import Batch
from training.losses import Losses, Weights, mean_losses, tracking_loss
from training.recipe import FitRecipe


class NotFinite(RuntimeError):
    """The loss or a gradient stopped being a number; the message says which. The weights were not touched."""


class Learner:
    """Network and optimiser."""

    def __init__(self, network: SiamFCppLight, fit: FitRecipe, device: torch.device) -> None:
        self.network, self._fit = network, fit
        precision.prepare(network, fit.precision, device)
        self.optimiser = torch.optim.AdamW(_groups(network, fit))
        self._weights = Weights(fit.score_weight, fit.box_weight)

    def restore(self, state: dict[str, Any]) -> None:
        """Takes the moments of a checkpoint's optimiser; rates and decay stay those of the recipe."""
        own = [{key: group[key] for key in group if key != "params"} for group in self.optimiser.param_groups]
        self.optimiser.load_state_dict(state)
        for group, settings in zip(self.optimiser.param_groups, own, strict=True):
            group.update(settings)

    def step(self, step: int, batch: Batch, rate: float) -> tuple[Losses, float]:
        """Learns from a batch with `rate` times the base rates; returns its losses and the gradient's norm.

        A batch in parts weighs every part the same: where batch norm counts, and targets differ in their number of
        cells, that is not exactly the whole batch's gradient."""
        for group in self.optimiser.param_groups:
            group["lr"] = group["base_rate"] * rate
        self.optimiser.zero_grad(set_to_none=True)
        parts = []
        for part in batch.parts(self._fit.accumulate):
            losses = self._losses(part, deep_learns=step >= self._fit.frozen_steps)
            if not math.isfinite(losses.total.item()):
                raise NotFinite(f"the loss is {losses.total.item()}")
            (losses.total / self._fit.accumulate).backward()  # type: ignore[no-untyped-call]
            parts.append(losses.detached())
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self._fit.gradient_clip).item()
        if not math.isfinite(norm):
            raise NotFinite(f"the gradient's norm is {norm}")
        self.optimiser.step()
        return mean_losses(parts), norm

    def _losses(self, batch: Batch, *, deep_learns: bool) -> Losses:
        network, backbone = self.network, self.network.backbone
        with precision.forward_in(self._fit.precision, batch.search.device):
            with torch.set_grad_enabled(deep_learns):
                deep_template, deep_search = backbone.deep(batch.template), backbone.deep(batch.search)
            template = network.neck(batch.template, deep_template)
            search = network.neck(batch.search, deep_search)
            logits, distances = network.head(template, search)
        boxes = network.boxes(distances.float())
        return tracking_loss(logits.float(), boxes, batch.boxes, batch.positive, network.centres, self._weights)


def _groups(network: SiamFCppLight, fit: FitRecipe) -> list[dict[str, Any]]:
    """Parameter groups: backbone slower than head; no decay on norms and biases; the shallow half is frozen."""
    for parameter in _shallow_parameters(network.backbone):
        parameter.requires_grad_(False)
    groups = []
    for module, share in ((network.backbone, fit.backbone_rate), (network.neck, 1.0), (network.head, 1.0)):
        parameters = [p for p in module.parameters() if p.requires_grad]
        for chosen, decay in (
            ([p for p in parameters if p.ndim > 1], fit.weight_decay),
            ([p for p in parameters if p.ndim <= 1], 0.0),
        ):
            base = fit.learning_rate * share
            groups.append({"params": chosen, "lr": base, "base_rate": base, "weight_decay": decay})
    return groups


def _shallow_parameters(backbone: EfficientNetLite0) -> Iterator[nn.Parameter]:
    deep = {id(parameter) for block in backbone.deep_blocks for parameter in block.parameters()}
    return (parameter for parameter in backbone.parameters() if id(parameter) not in deep)
