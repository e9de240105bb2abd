"""One training run, top to bottom: data, network, loop. `lockon train RECIPE` calls `train`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from models.networks.backbones.efficientnet_lite import imagenet_weights
from models.networks.siamfcpp_light import SiamFCppLight
from training import checkpoint
from training.datasets.sources import open_sources
from training.feeding import Feeder
from training.frozen import shallow_features
from training.learner import Learner, NotFinite
from training.progress import Progress
from training.recipe import Recipe, read_recipe
from training.sampling import DECODED_BYTES, PairSampler
from training.schedule import rate_at

BAD_BATCH = "bad-batch.pt"


class TrainingFailed(RuntimeError):
    """The run can't go on; the message says why, and where the batch lies that did it."""


def train(recipe_path: Path, out: Path, *, resume: bool = False, steps: int | None = None) -> Path:
    """Trains a recipe and returns the path of the last checkpoint in `out`.

    resume: go on from `out`/last.pt, to the same weights as an uninterrupted run. steps: stop after this many, with the
    schedule of the full run (None: all). SIGTERM and Ctrl-C end the run after a checkpoint."""
    recipe = read_recipe(recipe_path)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    run = _Run(recipe, out, device)
    start = run.restore() if resume and (out / checkpoint.LAST).exists() else run.begin()
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
        self.network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.learner = Learner(self.network, recipe.fit, device)
        data = open_sources(recipe.data)
        self.sampler = PairSampler(
            data,
            recipe.data,
            recipe.augment,
            recipe.model.crop,
            recipe.fit.seed,
            decoded_bytes=DECODED_BYTES // max(1, recipe.fit.workers),
        )
        self.console = Console(stderr=True)
        self.commit = _commit()
        self.seconds, self.pairs = 0.0, 0
        self.stages: list[dict[str, Any]] = []

    def begin(self) -> int:
        """Takes the first weights; returns 0, the number of steps done."""
        if self.fit.start:
            content = checkpoint.load(Path(os.path.expandvars(self.fit.start)))
            self.network.load_state_dict(content["average"])
            self.seconds, self.pairs, self.stages = float(content["seconds"]), int(content["pairs"]), content["stages"]
        else:
            self.network.backbone.load_imagenet(imagenet_weights())
        self.average = checkpoint.Average(self.network, self.fit.ema_decay)
        self._new_stage(0)
        return 0

    def restore(self) -> int:
        """Loads the last checkpoint; returns the number of steps it has done."""
        content = checkpoint.load(self.out / checkpoint.LAST)
        self.network.load_state_dict(content["network"])
        self.average = checkpoint.Average(self.network, self.fit.ema_decay)
        self.average.state = {key: value.to(self.device) for key, value in content["average"].items()}
        self.learner.restore(content["optimiser"])
        self.seconds, self.pairs, self.stages = float(content["seconds"]), int(content["pairs"]), content["stages"]
        self._new_stage(int(content["step"]))
        return int(content["step"])

    def _new_stage(self, step: int) -> None:
        """Notes where the configuration changed: a checkpoint tells everything that made it."""
        recipe = self.recipe.to_json()
        if step == 0 or self.stages[-1]["recipe"] != recipe:
            self.stages.append({"from_step": step, "recipe": recipe, "commit": self.commit})

    def save(self, step: int) -> None:
        """Writes the checkpoint after `step` steps."""
        content: dict[str, Any] = {
            "step": step,
            "pairs": self.pairs,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "average": self.average.state,
            "optimiser": self.learner.optimiser.state_dict(),
            "recipe": self.recipe.to_json(),
            "stages": self.stages,
            "commit": self.commit,
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
        }
        checkpoint.save(self.out / checkpoint.LAST, content)
        if self.fit.snapshot_every and step % self.fit.snapshot_every == 0:
            kept = {key: value for key, value in content.items() if key not in ("network", "optimiser")}
            checkpoint.save(self.out / f"average-{step:08d}.pt", kept)

    def go(self, start: int, stop: int) -> None:
        """Steps start..stop - 1."""
        self.network.train()
        # ImageNet statistics stay: crops are few and alike within a batch.
        self.network.backbone.eval()
        feeder = Feeder(self.recipe, self.sampler, shallow_features(self.network.backbone, self.device), self.device)
        with SummaryWriter(str(self.out)) as writer, _asked_to_stop() as asked:
            progress = Progress(writer, self.console, self.fit)
            for step, batch in enumerate(feeder.batches(start, stop), start=start):
                waited = progress.received()
                rate = rate_at(step, self.fit.steps, self.fit.warmup_steps, self.fit.decay_steps)
                try:
                    losses, norm = self.learner.step(step, batch, rate)
                except NotFinite as error:
                    raise self._failed(step, feeder, error) from error
                self.average.update(self.network, step)
                self.pairs += self.fit.batch
                self.seconds += progress.done(step, losses, norm, waited, rate)
                done = step + 1 == stop or asked.is_set()
                if done or (step + 1) % self.fit.checkpoint_every == 0:
                    self.save(step + 1)
                if done:
                    progress.flush()
                    return

    def _failed(self, step: int, feeder: Feeder, error: NotFinite) -> TrainingFailed:
        """Keeps the batch that did it, crops and truth, for a look at it."""
        pairs = feeder.pairs(step)
        content = {name: getattr(pairs, name).cpu() for name in ("templates", "searches", "boxes", "positive")}
        path = checkpoint.save(self.out / BAD_BATCH, {"step": step, **content})
        return TrainingFailed(f"step {step}: {error}; its batch is {path}, {checkpoint.LAST} is from before")


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; outside the main thread, where signals can't be handled, nothing does."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def ask(number: int, frame: FrameType | None) -> None:
        asked.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
