"""SiamFC++ as it learns (AAAI 2020; video_analyst, make_densebox_target.py and model/loss/loss_impl).

Every cell inside the box answers for the target. Boxes count pixels: x1 is the last one, so that the width is
x1 - x0 + 1. B pairs, N cells.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.networks.siamfcpp import SiamFCpp
from training.feeding import Batch
from training.fit_recipe import LossKind, LossRecipe
from training.losses import Losses

FOCAL_POWER = 2.0
SMALLEST = torch.finfo(torch.float32).tiny
"""What is under a logarithm is at least this."""
PRIOR = 0.01
"""Share of cells that score high when training begins."""


class CellTargets(NamedTuple):
    """What cells should say, (B, N) each."""

    label: Tensor
    """1: target, 0: background, -1: ignored."""
    centreness: Tensor
    """0 where the cell lies outside the box."""


def cell_targets(truth: Tensor, paired: Tensor, cells: Tensor) -> CellTargets:
    """For boxes (B, 4) x0, y0, x1, y1 with the last pixel, and cells (2, N).

    paired (B,) bool: false where the box is not the template's target; there the cells inside it are background, all
    others are ignored, and centreness stays."""
    x, y = cells[:, None]
    x0, y0, x1, y1 = truth[:, :, None].unbind(1)
    left, top, right, bottom = x - x0, y - y0, x1 - x, y1 - y
    inside = (torch.minimum(left, right) > 0) & (torch.minimum(top, bottom) > 0)
    ratio = (torch.minimum(left, right) * torch.minimum(top, bottom)) / (
        torch.maximum(left, right) * torch.maximum(top, bottom) + 1e-5
    )
    centreness = torch.where(inside, ratio.abs().sqrt(), 0)
    label = torch.where(paired[:, None], inside.long(), inside.long() - 1)
    return CellTargets(label, centreness)


def focal_loss(logits: Tensor, label: Tensor, target_weight: float) -> Tensor:
    """Scalar; logits and label (B, N). By the number of target cells."""
    answers = (label == 1).to(logits.dtype)
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, answers, reduction="none")
    chance = torch.exp(-cross_entropy)
    weight = torch.where(label == 1, target_weight, 1 - target_weight) * (label >= 0)
    return (weight * (1 - chance) ** FOCAL_POWER * cross_entropy).sum() / answers.sum().clamp(min=1)


def retina_loss(logits: Tensor, label: Tensor, target_weight: float) -> Tensor:
    """As `focal_loss`, but for sure cells, whose logarithms are cut off."""
    chance = logits.sigmoid()
    on_target = target_weight * (1 - chance) ** FOCAL_POWER * chance.clamp(min=SMALLEST).log()
    beside = (1 - target_weight) * chance**FOCAL_POWER * (1 - chance).clamp(min=SMALLEST).log()
    error = -torch.where(label == 1, on_target, beside) * (label >= 0)
    return error.sum() / (label == 1).sum().clamp(min=1)


def centreness_loss(logits: Tensor, centreness: Tensor) -> Tensor:
    """Scalar; logits and centreness (B, N). Cross-entropy less its smallest possible value."""
    inside = centreness > 0
    error = functional.binary_cross_entropy_with_logits(logits, centreness, reduction="none")
    least = functional.binary_cross_entropy(centreness, centreness, reduction="none")
    return ((error - least) * inside).sum() / inside.sum().clamp(min=1)


def pixel_iou(boxes: Tensor, truth: Tensor) -> Tensor:
    """(B, N) IoU of boxes (B, 4, N) with true ones (B, 4); x1 and y1 are the last pixels."""
    others = truth[:, :, None]
    sides, other_sides = (corners[:, 2:] - corners[:, :2] + 1 for corners in (boxes, others))
    low, high = torch.maximum(boxes[:, :2], others[:, :2]), torch.minimum(boxes[:, 2:], others[:, 2:])
    common = (high - low + 1).clamp(min=0).prod(1)
    return common / (sides.abs().prod(1) + other_sides.abs().prod(1) - common)


def box_loss(iou: Tensor, label: Tensor) -> Tensor:
    """Scalar: mean of -ln IoU over target cells."""
    answers = label == 1
    return -(iou.clamp(min=SMALLEST).log() * answers).sum() / answers.sum().clamp(min=1)


class DenseObjective:
    """Forward pass, targets and losses of SiamFC++."""

    def __init__(self, network: SiamFCpp, loss: LossRecipe, search_size: int) -> None:
        self._network, self._recipe = network, loss
        self._cells = f"cells_{search_size}"
        self._score_loss = focal_loss if loss.kind is LossKind.SIAMFCPP_FOCAL else retina_loss

    def outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Logits of score and centreness (B, 1, s, s), exponents of the distances (B, 4, s, s)."""
        return self._network.outputs(self._network.template(batch.template), batch.search)

    def losses(self, outputs: tuple[Tensor, ...], batch: Batch) -> Losses:
        """Of raw outputs in float32."""
        logits, centreness, exponents = (output.flatten(2) for output in outputs)
        cells = self._network.get_buffer(self._cells)
        truth = batch.boxes - batch.boxes.new_tensor([0.0, 0.0, 1.0, 1.0])
        aims = cell_targets(truth, batch.positive, cells)
        distances = self._network.head.distances(exponents)
        iou = pixel_iou(torch.cat([cells - distances[:, :2], cells + distances[:, 2:]], dim=1), truth)
        score = self._score_loss(logits[:, 0], aims.label, self._recipe.target_weight)
        centre = centreness_loss(centreness[:, 0], aims.centreness)
        box = box_loss(iou, aims.label)
        answers = aims.label == 1
        mean_iou = (iou.detach() * answers).sum() / answers.sum().clamp(min=1)
        return Losses(score + centre + self._recipe.box_weight * box, score, box, mean_iou, centre)


def initialise(network: SiamFCpp) -> None:
    """The published first weights of neck and head: next to nothing, and scores that begin low."""
    for part, deviation in ((network.neck, 0.01), (network.head, 1e-4)):
        for module in part.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.normal_(module.weight, std=deviation)
    for name, bias in network.head.score.named_parameters():
        if name == "conv.bias":
            torch.nn.init.constant_(bias, math.log(PRIOR / (1 - PRIOR)))
