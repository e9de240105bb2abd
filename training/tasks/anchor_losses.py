"""The losses of networks with anchors, as each code base has them.

Logits (B, 2, N), background first; deltas (B, 4, N). `weights` (B,) count every pair of a batch more or less.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from training.fit_recipe import LossKind
from training.tasks.anchor_targets import TargetRule, Targets, three_for_each, up_to_64_in_all


class AnchorLosses(NamedTuple):
    """Scalars."""

    score: Tensor
    box: Tensor


LossFunction = Callable[[Tensor, Tensor, Targets, Tensor], AnchorLosses]


@dataclass(frozen=True, slots=True)
class Convention:
    """How a code base makes targets and weighs what is wrong."""

    rule: TargetRule
    losses: LossFunction


def pysot(logits: Tensor, deltas: Tensor, targets: Targets, weights: Tensor) -> AnchorLosses:
    """Half the mean over all positives of the batch, half that over all negatives; a group of exactly one counts as
    none. Box: sum of absolute errors, by the number of a pair's positives (models/loss.py)."""
    error = _cross_entropy(logits, targets) * weights[:, None]
    score = (_mean_of_many(error, targets.positive) + _mean_of_many(error, targets.negative)) / 2
    share = targets.positive / (targets.positive.sum(1, keepdim=True) + 1e-6) * weights[:, None]
    return AnchorLosses(score, (_distance(deltas, targets) * share).sum() / len(logits))


def mmtracking(logits: Tensor, deltas: Tensor, targets: Targets, weights: Tensor) -> AnchorLosses:
    """Every pair weighs the same: half for its positives, half for its negatives (siamese_rpn_head.py)."""
    share = (_share(targets.positive) + _share(targets.negative)) / 2 * weights[:, None]
    score = (_cross_entropy(logits, targets) * share).sum() / len(logits)
    box = (_distance(deltas, targets) * _share(targets.positive) * weights[:, None]).sum() / len(logits)
    return AnchorLosses(score, box)


def siamrpnpp_pytorch(logits: Tensor, deltas: Tensor, targets: Targets, weights: Tensor) -> AnchorLosses:
    """As mmtracking's, with a smooth distance that is averaged over the four deltas (utils/loss.py)."""
    score = mmtracking(logits, deltas, targets, weights).score
    error = functional.smooth_l1_loss(deltas, targets.deltas, reduction="none").mean(1)
    return AnchorLosses(score, (error * _share(targets.positive) * weights[:, None]).sum() / len(logits))


def siamrpn_tf(logits: Tensor, deltas: Tensor, targets: Targets, weights: Tensor) -> AnchorLosses:
    """Means over all kept anchors of the batch, and over the four deltas; Huber's distance with a knee at 1."""
    positive, both = targets.positive, targets.positive | targets.negative
    score = (_cross_entropy(logits, targets) * both * weights[:, None]).sum() / both.sum().clamp(min=1)
    error = functional.huber_loss(deltas, targets.deltas, reduction="none").mean(1)
    return AnchorLosses(score, (error * positive * weights[:, None]).sum() / positive.sum().clamp(min=1))


CONVENTIONS: Mapping[LossKind, Convention] = MappingProxyType({
    LossKind.PYSOT: Convention(TargetRule(), pysot),
    LossKind.MMTRACKING: Convention(TargetRule(inclusive=True), mmtracking),
    LossKind.SIAMRPNPP_PYTORCH: Convention(
        TargetRule(three_for_each, narrower=1.0, union_epsilon=1e-6, side_epsilon=1e-5), siamrpnpp_pytorch
    ),
    LossKind.SIAMRPN_TF: Convention(TargetRule(up_to_64_in_all, narrower=1.0, best_answers=True), siamrpn_tf),
})  # fmt: skip


def _cross_entropy(logits: Tensor, targets: Targets) -> Tensor:
    """(B, N)."""
    return functional.cross_entropy(logits, targets.positive.long(), reduction="none")


def _distance(deltas: Tensor, targets: Targets) -> Tensor:
    """(B, N) summed absolute errors."""
    return (deltas - targets.deltas).abs().sum(1)


def _share(chosen: Tensor) -> Tensor:
    """(B, N) bool -> weights that add up to 1 in each row that has any."""
    return chosen / chosen.sum(1, keepdim=True).clamp(min=1)


def _mean_of_many(error: Tensor, chosen: Tensor) -> Tensor:
    """The mean over chosen anchors; 0 if there are fewer than two."""
    count = chosen.sum()
    mean = (error * chosen).sum() / count.clamp(min=1)
    return torch.where(count > 1, mean, torch.zeros_like(mean))
