"""One training run, top to bottom: data, network, loop. `lockon train RECIPE` calls `train`."""

from __future__ import annotations

import json
import math
import os
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch
from rich.console import Console
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from models.networks.backbones.efficientnet_lite import EfficientNetLite0, imagenet_weights
from models.networks.siamfcpp_light import SiamFCppLight
from training import checkpoint
from training.augment import Pairs, augment, to_device
from training.datasets.shards import read_shards
from training.frozen import shallow_features
from training.losses import Losses, Weights, tracking_loss
from training.recipe import FitRecipe, Recipe, read_recipe
from training.sampling import PairSampler
from training.schedule import rate_at

LOG_EVERY = 50


class TrainingFailed(RuntimeError):
    """The loss stopped being a number; the message names the step."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What one step needs: shallow features of both crops, and the truth."""

    template: Tensor
    search: Tensor
    boxes: Tensor
    positive: Tensor


def train(recipe_path: Path, out: Path, *, resume: bool = False, steps: int | None = None) -> Path:
    """Trains a recipe and returns the path of the last checkpoint in `out`.

    resume: go on from `out`/last.pt, to the same weights as an uninterrupted run. steps: stop after this many, with the
    schedule of the full run (None: all)."""
    recipe = read_recipe(recipe_path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = _Run(recipe, out, device)
    start = run.restore() if resume and (out / checkpoint.LAST).exists() else 0
    if start == 0:
        (out / "recipe.json").write_text(json.dumps(recipe.to_json(), indent=1), encoding="utf-8")
    run.go(start, min(recipe.fit.steps, steps or recipe.fit.steps))
    return out / checkpoint.LAST


class _Run:
    """State of a run: network, average, optimiser, data."""

    def __init__(self, recipe: Recipe, out: Path, device: torch.device) -> None:
        self.recipe, self.fit, self.out, self.device = recipe, recipe.fit, out, device
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.fit.seed)
        self.network = SiamFCppLight(recipe.model)
        self.network.backbone.load_imagenet(imagenet_weights())
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = checkpoint.Average(self.network, recipe.fit.ema_decay)
        self.optimiser = torch.optim.AdamW(_groups(self.network, recipe.fit))
        self.shallow = shallow_features(self.network.backbone, device)
        data = read_shards(Path(os.path.expandvars(recipe.data.shards)), recipe.data.min_side)
        self.sampler = PairSampler(data, recipe.data, recipe.augment, recipe.model.crop, recipe.fit.seed)
        self.console = Console(stderr=True)
        self.commit = _commit()
        self.seconds = 0.0

    def restore(self) -> int:
        """Loads the last checkpoint; returns the number of steps it has done."""
        content = checkpoint.load(self.out / checkpoint.LAST)
        self.network.load_state_dict(content["network"])
        self.average.state = {key: value.to(self.device) for key, value in content["average"].items()}
        self.optimiser.load_state_dict(content["optimiser"])
        self.seconds = float(content["seconds"])
        return int(content["step"])

    def save(self, step: int) -> None:
        """Writes the checkpoint after `step` steps."""
        content: dict[str, Any] = {
            "step": step,
            "network": self.network.state_dict(),
            "average": self.average.state,
            "optimiser": self.optimiser.state_dict(),
            "seconds": self.seconds,
            "recipe": self.recipe.to_json(),
            "commit": self.commit,
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
        }
        checkpoint.save(self.out, content)

    def go(self, start: int, stop: int) -> None:
        """Steps start..stop - 1."""
        self.network.train()
        # ImageNet statistics stay: crops are few and alike within a batch.
        self.network.backbone.eval()
        with SummaryWriter(str(self.out)) as writer:
            self._learn(start, stop, _Progress(writer, self.console, self.fit))

    def _learn(self, start: int, stop: int, progress: _Progress) -> None:
        for step, batch in enumerate(self._batches(start, stop), start=start):
            waited = progress.received()
            rate = rate_at(step, self.fit.steps, self.fit.warmup_steps)
            for group in self.optimiser.param_groups:
                group["lr"] = group["base_rate"] * rate
            losses = self._step(step, batch)
            self.average.update(self.network, step)
            self.seconds += progress.done(step, losses, waited, rate)
            if (step + 1) % self.fit.checkpoint_every == 0 or step + 1 == stop:
                self.save(step + 1)

    def _step(self, step: int, batch: Batch) -> Losses:
        network, backbone = self.network, self.network.backbone
        with torch.set_grad_enabled(step >= self.fit.frozen_steps):
            deep_template, deep_search = backbone.deep(batch.template), backbone.deep(batch.search)
        template = network.neck(batch.template, deep_template)
        search = network.neck(batch.search, deep_search)
        logits, distances = network.head(template, search)
        weights = Weights(self.fit.score_weight, self.fit.box_weight)
        losses = tracking_loss(logits, network.boxes(distances), batch.boxes, batch.positive, network.centres, weights)
        if not math.isfinite(losses.total.item()):
            raise TrainingFailed(f"step {step}: the loss is {losses.total.item()}")
        self.optimiser.zero_grad(set_to_none=True)
        losses.total.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(network.parameters(), self.fit.gradient_clip)
        self.optimiser.step()
        return losses

    def _batch(self, step: int) -> Batch:
        generator = torch.Generator().manual_seed(self.fit.seed * 1_000_003 + step)
        sampled = to_device(self.sampler.batch(step, self.fit.batch), self.device)
        pairs: Pairs = augment(sampled, self.recipe.augment, generator)
        template, search = (
            self.shallow(crops).contiguous(memory_format=torch.channels_last)
            for crops in (pairs.templates, pairs.searches)
        )
        return Batch(template, search, pairs.boxes, pairs.positive)

    def _batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Prepares the next batch in a thread while the network learns from this one."""
        cv2.setNumThreads(1)
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as worker:
            ahead = worker.submit(self._batch, start)
            for step in range(start, stop):
                batch = ahead.result()
                if step + 1 < stop:
                    ahead = worker.submit(self._batch, step + 1)
                yield batch


class _Progress:
    """Writes TensorBoard scalars and a line every LOG_EVERY steps: pairs/s, wait for data, losses."""

    def __init__(self, writer: SummaryWriter, console: Console, fit: FitRecipe) -> None:
        self._writer, self._console, self._fit = writer, console, fit
        self._mark = time.perf_counter()
        self._sums = dict.fromkeys(("seconds", "waited", "total", "score", "box", "iou"), 0.0)

    def received(self) -> float:
        """Seconds since the last step ended: the wait for this batch."""
        return time.perf_counter() - self._mark

    def done(self, step: int, losses: Losses, waited: float, rate: float) -> float:
        """Counts a step in; returns how many seconds it took."""
        now = time.perf_counter()
        seconds, self._mark = now - self._mark, now
        for key, value in (
            ("seconds", seconds),
            ("waited", waited),
            ("total", losses.total),
            ("score", losses.score),
            ("box", losses.box),
            ("iou", losses.mean_iou),
        ):
            self._sums[key] += value if isinstance(value, float) else value.item()
        if (step + 1) % LOG_EVERY == 0:
            self._write(step + 1, rate)
        return seconds

    def _write(self, step: int, rate: float) -> None:
        sums = self._sums
        pace = LOG_EVERY * self._fit.batch / sums["seconds"]
        values = {key: sums[key] / LOG_EVERY for key in ("total", "score", "box", "iou")}
        values |= {"pairs_per_s": pace, "data_wait": sums["waited"] / sums["seconds"], "rate": rate}
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)
        left = (self._fit.steps - step) * self._fit.batch / pace / 60
        self._console.print(
            f"step {step}/{self._fit.steps}  {pace:.1f} pairs/s  data wait {values['data_wait']:.0%}  "
            f"loss {values['total']:.3f} (score {values['score']:.3f}, box {values['box']:.3f})  "
            f"IoU {values['iou']:.3f}  rate {rate:.2f}  {left:.0f} min left",
            highlight=False,
        )
        self._sums = dict.fromkeys(sums, 0.0)


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


def _commit() -> str:
    """The git commit of the code, or `unknown` outside a checkout."""
    answer = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 git stands on the PATH
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or "unknown"
