"""`siamfcpp_tiny` as it learns: it begins as a thinned copy of a larger network and is shown that one's features."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from models.networks import build
from models.networks.siamfcpp_light import SiamFCppLight
from models.package import WEIGHTS, find_package
from models.spec import SpecInvalid
from training import precision
from training.feeding import Batch
from training.fit_recipe import DistilRecipe, FitRecipe
from training.frozen import FeatureFunction, Features, backbone_features
from training.losses import Losses, tracking_loss
from training.tasks.light import LightTask
from training.thinning import thin

SETTLING_STEPS = 100
"""Steps at the start in which the thinned backbone's batch norm takes its own statistics."""
FULL_SHARE = 0.6
"""Share of the distilled steps after which the features count half."""
LEAST_VARIANCE = 1e-3


class TinyTask(LightTask):
    """Obeys `training.tasks.task.Task`. The whole backbone learns."""

    def __init__(self, network: SiamFCppLight, fit: FitRecipe) -> None:
        """Raises SpecInvalid if the recipe names no teacher, or one of another kind."""
        super().__init__(network, fit)
        if fit.distil is None:
            raise SpecInvalid("fit.distil: a thinned network needs a teacher")
        self._distil: DistilRecipe = fit.distil
        package = find_package(fit.distil.teacher)
        teacher = build(package.spec)
        if not isinstance(teacher, SiamFCppLight):
            raise SpecInvalid(f"fit.distil.teacher: {package.spec.network.architecture} has another backbone")
        teacher.load_state_dict(load_file(package.file(WEIGHTS)))
        self._teacher = teacher.eval()
        self._shown: Features | None = None

    def take_first_weights(self) -> str:
        """The backbone's from the teacher."""
        thin(self._teacher.backbone.state_dict(), self.network.backbone)
        return f"the backbone begins as a thinned copy of {self._distil.teacher}'s, the rest with noise"

    def features(self, device: torch.device) -> FeatureFunction:
        """Nothing is frozen: the crops themselves."""
        self._shown = backbone_features(self._teacher.backbone, device)
        return lambda crops: crops

    def stage(self, step: int) -> int:
        """0 while batch norm settles, 1 with a teacher who counts, 2 with one who counts half, 3 alone."""
        bounds = (SETTLING_STEPS, round(self._distil.steps * FULL_SHARE), self._distil.steps)
        return sum(step >= bound for bound in bounds)

    def enter(self, stage: int) -> None:
        """All learn."""
        self.network.train()
        self.network.backbone.train(stage == 0)
        self._weight = (self._distil.weight, self._distil.weight, self._distil.weight / 2, 0.0)[stage]

    def losses(self, batch: Batch) -> Losses:
        """Those of tracking, and in the total how far the search features are from the teacher's."""
        network = self.network
        with precision.forward_in(self._fit.precision, batch.search.device):
            own = network.backbone(batch.search)
            logits, distances = network.head(network.neck(*network.backbone(batch.template)), network.neck(*own))
        boxes = network.boxes(distances.float())
        found = tracking_loss(logits.float(), boxes, batch.boxes, batch.positive, network.centres, self._weights)
        if not self._weight:
            return found
        total = found.total + self._weight * self._distance(own, batch.search)
        return Losses(total, found.score, found.box, found.mean_iou)

    def _distance(self, own: tuple[Tensor, Tensor], crops: Tensor) -> Tensor:
        """Mean squared difference to the teacher's features of the same crops, each channel in its own variance."""
        assert self._shown is not None, "features come first"
        parts = [
            ((mine.float() - theirs) ** 2 / theirs.var((0, 2, 3), keepdim=True).clamp(min=LEAST_VARIANCE)).mean()
            for mine, theirs in zip(own, self._shown(crops), strict=True)
        ]
        return torch.stack(parts).sum()

    def _deep(self) -> Iterator[nn.Parameter]:
        return self.network.backbone.parameters()
