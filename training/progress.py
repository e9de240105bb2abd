"""What a run says of itself: a line of text at least once a minute, TensorBoard, and a log for the report."""

from __future__ import annotations

import json
import resource
import time
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import torch
from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from training import checkpoint
from training.fit_recipe import FitRecipe, StagedFitRecipe
from training.losses import Losses

LINE_STEPS = 50
LINE_SECONDS = 60.0
LOG = "log.jsonl"
_PARTS = ("total", "score", "box", "iou", "centreness")


class Progress(AbstractContextManager["Progress"]):
    """Collects the numbers of the steps since the last line."""

    def __init__(
        self, out: Path, console: Console, fit: FitRecipe | StagedFitRecipe, start: int, *, writes: bool = True
    ) -> None:
        """start: the run's first step; what a log of it told of later ones is dropped. writes: into files as well."""
        self._console, self._fit = console, fit
        self._log = out / LOG if writes else None
        self._writer = SummaryWriter(str(out)) if writes else None
        if self._log is not None:
            kept = [entry for entry in read_log(out) if entry["step"] <= start]
            checkpoint.save_text(self._log, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._mark = time.perf_counter()
        self._last = 0, 0.0
        self._empty()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writes what is left."""
        self.flush()
        if self._writer is not None:
            self._writer.close()

    def _empty(self) -> None:
        self._steps = 0
        self._seconds = self._waited = self._norm = 0.0
        self._sums = torch.zeros(len(_PARTS))

    def received(self) -> float:
        """Seconds since the last step ended: the wait for this batch."""
        return time.perf_counter() - self._mark

    def resumed(self) -> None:
        """Time begins now: what came since the last step was no work on steps."""
        self._mark = time.perf_counter()

    def done(self, step: int, losses: Losses, gradient_norm: float, waited: float, rate: float) -> float:
        """Counts a step in; returns how many seconds it took."""
        now = time.perf_counter()
        seconds, self._mark = now - self._mark, now
        self._steps += 1
        self._seconds += seconds
        self._waited += waited
        self._norm += gradient_norm
        values = losses.stacked().cpu()
        self._sums[: len(values)] += values
        self._told = _PARTS[: len(values)]
        self._last = step + 1, rate
        if self._steps == LINE_STEPS or self._seconds >= LINE_SECONDS:
            self.flush()
        return seconds

    def flush(self) -> None:
        """Writes what has come since the last line."""
        if self._steps:
            self._write(*self._last)
            self._empty()

    def _write(self, step: int, rate: float) -> None:
        pace = self._steps * self._fit.batch / self._seconds
        values = {name: value / self._steps for name, value in zip(self._told, self._sums.tolist(), strict=False)}
        values |= {"gradient_norm": self._norm / self._steps, "pairs_per_s": pace, "rate": rate}
        values |= {"data_wait": self._waited / self._seconds, "peak_memory_gb": peak_memory_gb()}
        if self._writer is not None and self._log is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
            with self._log.open("a", encoding="utf-8") as log:
                log.write(json.dumps({"step": step, **values}) + "\n")
        parts = ", ".join(f"{name} {values[name]:.3f}" for name in ("score", "centreness", "box") if name in values)
        left = (self._fit.steps - step) * self._fit.batch / pace / 60
        self._console.print(
            f"step {step}/{self._fit.steps}  {pace:.1f} pairs/s  data wait {values['data_wait']:.0%}  "
            f"loss {values['total']:.3f} ({parts})  IoU {values['iou']:.3f}  gradient {values['gradient_norm']:.1f}  "
            f"rate {rate:.3g}  memory {values['peak_memory_gb']:.1f} GB  {left:.0f} min left",
            highlight=False,
            soft_wrap=True,
        )


def peak_memory_gb() -> float:
    """The most that the run has held at once, in 1e9 bytes: of the GPU's memory, or of the machine's without one."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated() / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def read_log(out: Path) -> list[dict[str, Any]]:
    """The entries of a run's log in order; empty if there is none.

    A last line that a kill cut short is left out; raises ValueError for any other that is broken."""
    path = out / LOG
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    entries: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError as error:
            if number < len(lines):
                raise ValueError(f"{path}, line {number}: {error}") from error
    return entries
