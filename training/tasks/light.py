"""`siamfcpp_light` and its kin as they learn: AdamW, a frozen shallow half, one score that means IoU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from models.networks.backbones.efficientnet_lite import imagenet_weights
from models.networks.siamfcpp_light import SiamFCppLight
from training import precision
from training.feeding import Batch
from training.fit_recipe import FitRecipe
from training.frozen import FeatureFunction, shallow_features
from training.losses import Losses, Weights, tracking_loss
from training.schedule import rate_at


class LightTask:
    """Obeys `training.tasks.task.Task`."""

    def __init__(self, network: SiamFCppLight, fit: FitRecipe) -> None:
        self.network, self._fit = network, fit
        self._weights = Weights(fit.score_weight, fit.box_weight)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def take_first_weights(self) -> str:
        """The backbone's from ImageNet."""
        self.network.backbone.load_imagenet(imagenet_weights())
        return "the backbone begins with its ImageNet weights, the rest with noise"

    def features(self, device: torch.device) -> FeatureFunction:
        """The shallow half of the backbone, with the weights as they are now."""
        shallow = shallow_features(self.network.backbone, device)
        return lambda crops: shallow(crops).contiguous(memory_format=torch.channels_last)

    def optimiser(self) -> torch.optim.Optimizer:
        """The backbone learns slower than the rest; norms and biases do not decay."""
        neck, head = self.network.neck.parameters(), self.network.head.parameters()
        groups: list[dict[str, Any]] = []
        for parameters, share in ((list(self._deep()), self._fit.backbone_rate), (list(neck), 1.0), (list(head), 1.0)):
            for chosen, decay in (
                ([each for each in parameters if each.ndim > 1], self._fit.weight_decay),
                ([each for each in parameters if each.ndim <= 1], 0.0),
            ):
                base = self._fit.learning_rate * share
                groups.append({"params": chosen, "lr": base, "base_rate": base, "weight_decay": decay})
        return torch.optim.AdamW(groups)

    def rate(self, step: int) -> float:
        """Warm-up, plateau, half a cosine."""
        return rate_at(step, self._fit.steps, self._fit.warmup_steps, self._fit.decay_steps)

    def stage(self, step: int) -> int:
        """1 from the step on in which the deep half of the backbone learns."""
        return int(step >= self._fit.frozen_steps)

    def enter(self, stage: int) -> None:
        """The shallow half never learns; the backbone's ImageNet statistics stay: a batch's crops are few and alike."""
        self.network.train()
        self.network.backbone.eval()
        deep = {id(each) for each in self._deep()}
        for each in self.network.backbone.parameters():
            each.requires_grad_(stage > 0 and id(each) in deep)

    def forgets(self, stage: int) -> bool:
        """Never."""
        return False

    def losses(self, batch: Batch) -> Losses:
        """From the shallow features of both crops on."""
        network, backbone = self.network, self.network.backbone
        with precision.forward_in(self._fit.precision, batch.search.device):
            template = network.neck(batch.template, backbone.deep(batch.template))
            search = network.neck(batch.search, backbone.deep(batch.search))
            logits, distances = network.head(template, search)
        boxes = network.boxes(distances.float())
        return tracking_loss(logits.float(), boxes, batch.boxes, batch.positive, network.centres, self._weights)

    def _deep(self) -> Iterator[nn.Parameter]:
        return (each for block in self.network.backbone.deep_blocks for each in block.parameters())
