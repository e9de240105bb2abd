"""Which anchors answer for the target and which for the background, and what the former should say of the box.

B pairs, N anchors. Boxes are cx, cy, w, h in search crop pixels, (0, 0) being the centre of the top-left pixel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

POSITIVE_IOU, NEGATIVE_IOU = 0.6, 0.3
MOST_POSITIVES, MOST_NEGATIVES, MOST = 16, 48, 64
NEAR_CELLS = 3
"""Negative pairs learn from the cells this near to the thing that is not the target."""


def up_to_48(positives: Tensor) -> Tensor:
    """Negatives of pysot and mmtracking."""
    return torch.full_like(positives, MOST_NEGATIVES)


def three_for_each(positives: Tensor) -> Tensor:
    """Negatives of SiamRPN_plus_plus_PyTorch (utils/loss.py)."""
    return torch.where(positives > 0, (3 * positives).clamp(max=MOST_NEGATIVES), MOST_NEGATIVES)


def up_to_64_in_all(positives: Tensor) -> Tensor:
    """Negatives of SiamRPN-TF."""
    return MOST - positives


@dataclass(frozen=True, slots=True)
class TargetRule:
    """What the code bases differ in."""

    negatives: Callable[[Tensor], Tensor] = up_to_48
    """How many negatives are kept beside so many positives, (B,) -> (B,)."""
    inclusive: bool = False
    """An IoU of exactly 0.6 is enough."""
    narrower: float = 0.0
    """For the IoU, boxes are narrower and lower by so many pixels."""
    best_answers: bool = False
    """The anchor with the largest IoU answers in any case."""
    union_epsilon: float = 0.0
    """Added to the area that an IoU is divided by."""
    side_epsilon: float = 0.0
    """Added to the anchors' sides in the deltas."""


class Targets(NamedTuple):
    """What is learned of each anchor."""

    positive: Tensor
    """(B, N) bool: kept anchors that answer for the target."""
    negative: Tensor
    """(B, N) bool: kept anchors of the background."""
    deltas: Tensor
    """(B, 4, N) dx, dy, dw, dh from each anchor to the target."""


def targets(truth: Tensor, paired: Tensor, anchors: Tensor, numbers: Tensor, rule: TargetRule) -> Targets:
    """Targets for true boxes (B, 4), paired (B,) bool: false where that box is not the template's target.

    anchors (4, N); numbers (B,) of the pairs, from which the choice among too many follows. A pair that is none has no
    positives, and its negatives are near the box (pysot, datasets/anchor_target.py)."""
    positive, negative = labels(overlaps(truth, anchors, rule), rule)
    order = shuffled_order(numbers, anchors.shape[1])
    positive = kept(positive & paired[:, None], MOST_POSITIVES, order)
    count = rule.negatives(positive.sum(1))
    beside = kept(near(truth, anchors), MOST_POSITIVES, order)
    negative = torch.where(paired[:, None], kept(negative, count, order), beside)
    return Targets(positive, negative, encoded(truth, anchors, rule.side_epsilon))


def overlaps(truth: Tensor, anchors: Tensor, rule: TargetRule) -> Tensor:
    """(B, N) float64 IoU of boxes (B, 4) and anchors (4, N): in float32, whole boxes come to lie across a threshold."""
    boxes, others = truth[:, :, None].double(), anchors[None].double()
    sides, other_sides = boxes[:, 2:] - rule.narrower, others[:, 2:] - rule.narrower
    low = torch.maximum(boxes[:, :2] - sides / 2, others[:, :2] - other_sides / 2)
    high = torch.minimum(boxes[:, :2] + sides / 2, others[:, :2] + other_sides / 2)
    common = (high - low).clamp(min=0).prod(1)
    return common / (sides.prod(1) + other_sides.prod(1) - common + rule.union_epsilon)


def labels(iou: Tensor, rule: TargetRule) -> tuple[Tensor, Tensor]:
    """(B, N) IoU -> positive and negative, (B, N) bool each; what is neither is ignored."""
    positive = iou >= POSITIVE_IOU if rule.inclusive else iou > POSITIVE_IOU
    negative = iou < NEGATIVE_IOU
    if rule.best_answers:
        best = iou == iou.amax(1, keepdim=True)
        positive, negative = positive | best, negative & ~best
    return positive, negative


def encoded(truth: Tensor, anchors: Tensor, epsilon: float = 0.0) -> Tensor:
    """(B, 4, N): where the boxes (B, 4) lie from each anchor (4, N); the inverse of `decode_anchors`."""
    boxes, sides = truth[:, :, None], anchors[2:] + epsilon
    return torch.cat([(boxes[:, :2] - anchors[:2]) / sides, (boxes[:, 2:] / sides).log()], dim=1)


def near(truth: Tensor, anchors: Tensor, stride: int = 8) -> Tensor:
    """(B, N) bool: anchors in the block of 7 x 7 cells at the box's centre (B, 4).

    The middle of the block is the cell ceil(d + 0.5) right of (below) the map's middle one, d cells being the centre's
    distance: one cell too far, as published."""
    middle = (anchors[:2].amin(1) + anchors[:2].amax(1)) / 2
    cell = middle + stride * torch.ceil((truth[:, :2] - middle) / stride + 0.5)
    return ((anchors[:2][None] - cell[:, :, None]).abs() <= NEAR_CELLS * stride).all(1)


def shuffled_order(numbers: Tensor, count: int) -> Tensor:
    """(B, count) random numbers, the same for a pair's number on every device and in every batch."""
    keys = numbers[:, None] * count + torch.arange(count, device=numbers.device)
    for factor in (0x5851F42D4C957F2D, 0x14057B7EF767814F):  # two rounds of multiply and shift
        keys = (keys ^ (keys >> 29)) * factor
    return keys ^ (keys >> 31)


def kept(chosen: Tensor, count: Tensor | int, order: Tensor) -> Tensor:
    """At most `count` (or (B,) counts) of each row's chosen anchors (B, N): those that come first in `order`."""
    ranked = torch.where(chosen, order, torch.iinfo(order.dtype).max)
    rank = ranked.argsort(1).argsort(1)
    limit = count[:, None] if isinstance(count, Tensor) else count
    return chosen & (rank < limit)
