"""Networks with anchors as they learn: SiamRPN, SiamRPN++ and their ports."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import Tensor, nn

from models.networks.heads.anchors import AnchorNetwork
from training.feeding import Batch
from training.fit_recipe import LossRecipe
from training.losses import Losses, iou_and_giou, to_corners
from training.tasks.anchor_losses import CONVENTIONS
from training.tasks.anchor_targets import targets
from training.tasks.weighing import pair_weights


class _Network(Protocol):
    """What is run; see `models.networks.build.Network`."""

    def template(self, crops: Tensor) -> tuple[Tensor, ...]: ...
    def outputs(self, features: tuple[Tensor, ...], crops: Tensor) -> tuple[Tensor, ...]: ...


class AnchorObjective:
    """Forward pass, targets and losses of one code base."""

    def __init__(self, network: nn.Module, loss: LossRecipe, search_size: int) -> None:
        assert isinstance(network, AnchorNetwork)
        self._network, self._decoder = cast("_Network", network), network.decoder
        self._recipe, self._search_size = loss, search_size
        self._convention = CONVENTIONS[loss.kind]

    def outputs(self, batch: Batch) -> tuple[Tensor, ...]:
        """Logits (B, 10, s, s) and deltas (B, 20, s, s)."""
        return self._network.outputs(self._network.template(batch.template), batch.search)

    def losses(self, outputs: tuple[Tensor, ...], batch: Batch) -> Losses:
        """Of raw outputs in float32."""
        logits, deltas = (
            self._decoder.candidates(output, parts, self._search_size)
            for output, parts in zip(outputs, (2, 4), strict=True)
        )
        truth = true_boxes(batch.boxes)
        anchors = self._decoder.anchors(self._search_size)
        aims = targets(truth, batch.positive, anchors, batch.numbers, self._convention.rule)
        found = self._convention.losses(logits, deltas, aims, pair_weights(batch.gaps, self._recipe.decay_frames))
        total = found.score + self._recipe.box_weight * found.box
        with torch.no_grad():
            boxes = self._decoder.decoded(deltas, self._search_size)
            iou, _ = iou_and_giou(to_corners(boxes), to_corners(truth)[:, :, None])
            # Boxes of fresh weights may be infinite, and then have no IoU.
            mean_iou = (iou.nan_to_num() * aims.positive).sum() / aims.positive.sum().clamp(min=1)
        return Losses(total, found.score, found.box, mean_iou)


def true_boxes(boxes: Tensor) -> Tensor:
    """Corners (B, 4) between pixels -> cx, cy, w, h (B, 4), where (0, 0) is the centre of the top-left pixel."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return torch.cat([(low + high) / 2 - 0.5, high - low], dim=1)
