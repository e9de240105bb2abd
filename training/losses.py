"""What a cell should say, and the price of saying something else. Pure functions of tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

CENTRE_ZONE = 0.5  # share of the box, around its centre, whose cells answer for it
FOCAL_POWER = 2.0


@dataclass(frozen=True, slots=True)
class Losses:
    """Scalars; `total` is what is minimised."""

    total: Tensor
    score: Tensor
    box: Tensor
    mean_iou: Tensor
    """Of the boxes at places that answer for the target."""
    centreness: Tensor | None = None
    """Of networks that tell it."""

    def stacked(self) -> Tensor:
        """All of them in one tensor, in their order and without their history."""
        parts = [self.total, self.score, self.box, self.mean_iou]
        return torch.stack(parts if self.centreness is None else [*parts, self.centreness]).detach()


def mean_losses(parts: Sequence[Losses]) -> Losses:
    """The means over parts of the same size, without their history."""
    return Losses(*torch.stack([part.stacked() for part in parts]).mean(0))


@dataclass(frozen=True, slots=True)
class Weights:
    """Of the two parts in the total."""

    score: float
    box: float


def to_corners(boxes: Tensor) -> Tensor:
    """cx, cy, w, h on axis 1 -> x0, y0, x1, y1."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return torch.cat([centre - half, centre + half], dim=1)


def iou_and_giou(predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """IoU and generalised IoU (Rezatofighi et al., CVPR 2019) of corner boxes, (B, 4, ...) each -> (B, ...) each."""
    shared = (
        (torch.minimum(predicted[:, 2:], truth[:, 2:]) - torch.maximum(predicted[:, :2], truth[:, :2]))
        .clamp(min=0)
        .prod(1)
    )
    hull = (torch.maximum(predicted[:, 2:], truth[:, 2:]) - torch.minimum(predicted[:, :2], truth[:, :2])).prod(1)
    union = (predicted[:, 2:] - predicted[:, :2]).prod(1) + (truth[:, 2:] - truth[:, :2]).prod(1) - shared
    iou = shared / union.clamp(min=1e-6)
    return iou, iou - (hull - union) / hull.clamp(min=1e-6)


def zones(boxes: Tensor, positive: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Which cells answer for the target and which are left alone, (B, H, W) bool each.

    boxes (B, 4) corners, positive (B,), grid (2, H, W) cell centres. Cells in the middle `CENTRE_ZONE` of the box
    answer, at least the one nearest to its centre; the other cells inside the box are left alone."""
    x, y = grid
    corners = boxes[:, :, None, None]
    cx, cy = (corners[:, 0] + corners[:, 2]) / 2, (corners[:, 1] + corners[:, 3]) / 2
    half_w, half_h = (corners[:, 2] - corners[:, 0]) / 2, (corners[:, 3] - corners[:, 1]) / 2
    across, down = (x - cx).abs() / half_w, (y - cy).abs() / half_h
    distance = (x - cx) ** 2 + (y - cy) ** 2
    nearest = distance <= distance.amin((1, 2), keepdim=True)
    there = positive[:, None, None]
    central = (((across < CENTRE_ZONE) & (down < CENTRE_ZONE)) | nearest) & there
    inside = (across < 1) & (down < 1) & there
    return central, inside & ~central


def tracking_loss(
    logits: Tensor, boxes: Tensor, truth: Tensor, positive: Tensor, grid: Tensor, weights: Weights
) -> Losses:
    """Quality focal loss (Li et al., NeurIPS 2020) towards the IoU of the cell's own box, and GIoU of the boxes.

    logits (B, H, W), boxes (B, 4, H, W) cx, cy, w, h; truth (B, 4) corners; everything in search crop pixels."""
    central, ignored = zones(truth, positive, grid)
    iou, giou = iou_and_giou(to_corners(boxes), truth[:, :, None, None])
    quality = torch.where(central, iou.detach(), torch.zeros_like(iou))
    cross_entropy = functional.binary_cross_entropy_with_logits(logits, quality, reduction="none")
    focal = (quality - logits.detach().sigmoid()).abs() ** FOCAL_POWER * cross_entropy
    count = central.sum().clamp(min=1)
    # Every target weighs the same, however many cells answer for it.
    share = central / central.sum((1, 2), keepdim=True).clamp(min=1)
    targets = positive.sum().clamp(min=1)
    score = torch.where(ignored, torch.zeros_like(focal), focal).sum() / count
    box = ((1 - giou) * share).sum() / targets
    return Losses(weights.score * score + weights.box * box, score, box, (iou.detach() * share).sum() / targets)
