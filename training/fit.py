"""One training run, top to bottom: data, network, loop. `lockon train RECIPE` calls `train`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from rich.console import Console
from safetensors.torch import load_file

from models.package import WEIGHTS, read_package
from training import checkpoint
from training.datasets.sources import DataSet, open_sources
from training.distributed import Share, any_process, every_process, joined
from training.feeding import Feeder
from training.judging import Judge
from training.learner import Learner, NotFinite
from training.progress import LINE_STEPS, Progress
from training.recipe import Recipe, read_recipe
from training.run_report import write_report
from training.sampling import DECODED_BYTES, PairSampler
from training.tasks.making import make_task

BAD_BATCH = "bad-batch.pt"


class TrainingFailed(RuntimeError):
    """The run can't go on; the message says why, and where the batch lies that did it."""


def train(recipe_path: Path, out: Path, *, resume: bool = False, steps: int | None = None) -> Path:
    """Trains a recipe and returns the path of the last checkpoint in `out`.

    resume: go on from `out`/last.pt, to the same weights as an uninterrupted run. steps: stop after this many, with the
    schedule of the full run (None: all). SIGTERM and Ctrl-C end the run after a checkpoint. Under `torchrun` several
    processes share every batch, and the first one writes into `out`, which all of them must see. Raises TrainingFailed
    for an `out` that holds a run unless it is to go on."""
    recipe = read_recipe(recipe_path)
    with joined() as share:
        run, start = _begun(recipe, out, share, resume=resume)
        if share.leads:
            (out / "recipe.json").write_text(json.dumps(recipe.to_json(), indent=1), encoding="utf-8")
        run.go(start, min(recipe.fit.steps, steps or recipe.fit.steps))
    return out / checkpoint.LAST


def _begun(recipe: Recipe, out: Path, share: Share, *, resume: bool) -> tuple[_Run, int]:
    """A run that is ready for its next step, and how many it has done."""
    held = _held(out, share, resume=resume)  # before data are read, which may take minutes
    run = _Run(recipe, out, share)
    return run, run.begin() if held is None else run.restore(held)


def _held(out: Path, share: Share, *, resume: bool) -> dict[str, Any] | None:
    """The last checkpoint in the folder; None if there is none, in all processes."""
    path = out / checkpoint.LAST
    content = checkpoint.load(path, resumable=True) if path.exists() else None
    steps = every_process(0 if content is None else int(content["step"]), share.device)
    if len(set(steps)) > 1:
        found = ", ".join(map(str, steps))
        raise TrainingFailed(f"{out}: the processes find a run of {found} steps there; --out must be a folder of all")
    if content is not None and not resume:
        raise TrainingFailed(f"{out}: holds a run of {steps[0]} steps: --resume, or another --out")
    return content


class _Run:
    """State of a run: network, average, optimiser, data."""

    def __init__(self, recipe: Recipe, out: Path, share: Share) -> None:
        self.recipe, self.fit, self.out, self.share, self.device = recipe, recipe.fit, out, share, share.device
        out.mkdir(parents=True, exist_ok=True)
        torch.manual_seed(recipe.fit.seed)
        self.task = make_task(recipe)
        self.network = self.task.network.to(self.device)
        self.learner = Learner(self.task, recipe.fit, self.device, share)
        self.console = Console(stderr=True, quiet=not share.leads)
        data = open_sources(recipe.data)
        self.console.print(_described(recipe, data, self.device), highlight=False, soft_wrap=True)
        self.sampler = PairSampler(
            data,
            recipe.data,
            recipe.augment,
            recipe.trained_model.crop,
            recipe.fit.seed,
            decoded_bytes=DECODED_BYTES // (max(1, recipe.fit.workers) * share.world),
        )
        self.judge = Judge(recipe, out, self.device) if recipe.judge is not None and share.leads else None
        self.commit = _commit()
        self.seconds, self.pairs = 0.0, 0
        self.stages: list[dict[str, Any]] = []

    def begin(self) -> int:
        """Takes the first weights; returns 0, the number of steps done."""
        start = Path(os.path.expandvars(self.fit.start))
        if self.fit.start and start.is_dir():
            self._take(load_file(read_package(start).file(WEIGHTS)), start)
        elif self.fit.start:
            content = checkpoint.load(start)
            self._take(content["average"], start)
            self.seconds, self.pairs, self.stages = float(content["seconds"]), int(content["pairs"]), content["stages"]
        else:
            self.console.print(self.task.take_first_weights(), highlight=False, soft_wrap=True)
        self.average = checkpoint.Average(self.network, self.fit.ema_decay)
        self._new_stage(0)
        return 0

    def restore(self, content: dict[str, Any]) -> int:
        """Goes on from a checkpoint; returns the number of steps it has done."""
        step, path = int(content["step"]), self.out / checkpoint.LAST
        self._take(content["network"], path)
        self.average = checkpoint.Average(self.network, self.fit.ema_decay)
        self.average.state = {key: value.to(self.device) for key, value in content["average"].items()}
        try:
            self.learner.restore(content, step)
        except ValueError as error:
            raise TrainingFailed(f"{path}: does not fit the groups that the recipe lets learn: {error}") from error
        self.seconds, self.pairs, self.stages = float(content["seconds"]), int(content["pairs"]), content["stages"]
        self._new_stage(step)
        if self.judge is not None and self.judge.lacks(step):  # the run was killed while it judged them
            self.console.print(self.judge.try_out(step, _kept(content)), highlight=False, soft_wrap=True)
        return step

    def _take(self, weights: Mapping[str, torch.Tensor], path: Path) -> None:
        """Fills the network; raises TrainingFailed for weights of another one."""
        try:
            self.network.load_state_dict(weights)
        except RuntimeError as error:  # a line for each tensor
            own = self.recipe.model.network
            raise TrainingFailed(f"{path}: holds weights of another network than the recipe's, {own}") from error

    def _new_stage(self, step: int) -> None:
        """Notes where the configuration changed: a checkpoint tells everything that made it."""
        recipe = self.recipe.to_json()
        if step == 0 or self.stages[-1]["recipe"] != recipe:
            self.stages.append({"from_step": step, "recipe": recipe, "commit": self.commit})

    def save(self, step: int) -> None:
        """Writes the checkpoint after `step` steps, and what is kept of it at the end of an epoch.

        The checkpoint comes after the copy that is kept: whenever a run is killed, what it goes on from has its own."""
        content: dict[str, Any] = {
            "step": step,
            "pairs": self.pairs,
            "seconds": self.seconds,
            "network": self.network.state_dict(),
            "average": self.average.state,
            **self.learner.state(),
            "recipe": self.recipe.to_json(),
            "stages": self.stages,
            "commit": self.commit,
            "device": torch.cuda.get_device_name() if self.device.type == "cuda" else "cpu",
        }
        if self.fit.snapshot_every and step % self.fit.snapshot_every == 0:
            checkpoint.save(self.out / f"average-{step:08d}.pt", _kept(content))
        checkpoint.save(self.out / checkpoint.LAST, content)
        if self.judge is not None and self.judge.wants(step):
            self.console.print(self.judge.try_out(step, _kept(content)), highlight=False, soft_wrap=True)

    def go(self, start: int, stop: int) -> None:
        """Steps start..stop - 1."""
        with ExitStack() as stack:
            asked = stack.enter_context(_asked_to_stop())
            progress = stack.enter_context(Progress(self.out, self.console, self.fit, start, writes=self.share.leads))
            features = self.task.features(self.device)
            feeder = Feeder(self.recipe, self.sampler, features, self.device, self.share)
            for step, parts in enumerate(feeder.batches(start, stop), start=start):
                waited = progress.received()
                try:
                    losses, norm = self.learner.step(step, parts)
                except NotFinite as error:
                    raise self._failed(step, feeder, error) from error
                self.average.update(self.network, step)
                self.pairs += self.fit.batch
                self.seconds += progress.done(step, losses, norm, waited, self.task.rate(step))
                done = step + 1 == stop or any_process(asked.is_set(), self.device)
                epoch_ends = self.fit.snapshot_every and (step + 1) % self.fit.snapshot_every == 0
                if self.share.leads and (done or epoch_ends or (step + 1) % self.fit.checkpoint_every == 0):
                    self.save(step + 1)
                    progress.resumed()
                if done:
                    break
        if self.share.leads:
            self.console.print(f"report: {write_report(self.out, self.recipe)}", highlight=False, soft_wrap=True)

    def _failed(self, step: int, feeder: Feeder, error: NotFinite) -> TrainingFailed:
        """Keeps the batch that did it, crops and truth, for a look at it."""
        parts = [feeder.pairs(step, part) for part in range(self.fit.accumulate)]
        content = {
            name: torch.cat([getattr(pairs, name) for pairs in parts]).cpu()
            for name in ("templates", "searches", "boxes", "positive")
        }
        path = checkpoint.save(self.out / BAD_BATCH, {"step": step, **content})
        return TrainingFailed(f"step {step}: {error}; its batch is {path}, {checkpoint.LAST} is from before")


def _kept(content: Mapping[str, Any]) -> dict[str, Any]:
    """What a copy of the averaged weights holds: all that a package tells, and nothing to go on from."""
    return {key: value for key, value in content.items() if key not in ("network", "optimiser", "scaler")}


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


def _described(recipe: Recipe, data: Sequence[DataSet], device: torch.device) -> str:
    """What a run is about to do, for its first line."""
    tracks, stills = (sum(len(getattr(part, kind)) for part in data) for kind in ("tracks", "stills"))
    return (
        f"{recipe.name}: {recipe.fit.steps:,} steps of {recipe.fit.batch} pairs from {tracks:,} tracks and "
        f"{stills:,} stills, on {device}; a line every {LINE_STEPS} steps or each minute"
    )


def _commit() -> str:
    """The git commit of the code, or `unknown` outside a checkout and without the program git."""
    try:
        answer = subprocess.run(
            ["git", "describe", "--always", "--dirty"],  # noqa: S607 git stands on the PATH
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"
