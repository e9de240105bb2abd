"""What a run says of itself: TensorBoard scalars and a line of text, at least once a minute."""

from __future__ import annotations

import time

from rich.console import Console
from torch.utils.tensorboard import SummaryWriter

from training.losses import Losses
from training.recipe import FitRecipe

LINE_STEPS = 50
LINE_SECONDS = 60.0
_PARTS = ("total", "score", "box", "iou")


class Progress:
    """Collects the numbers of the steps since the last line."""

    def __init__(self, writer: SummaryWriter, console: Console, fit: FitRecipe) -> None:
        self._writer, self._console, self._fit = writer, console, fit
        self._mark = time.perf_counter()
        self._last = 0, 0.0
        self._empty()

    def _empty(self) -> None:
        self._steps = 0
        self._seconds = self._waited = self._norm = 0.0
        self._sums = dict.fromkeys(_PARTS, 0.0)

    def received(self) -> float:
        """Seconds since the last step ended: the wait for this batch."""
        return time.perf_counter() - self._mark

    def done(self, step: int, losses: Losses, gradient_norm: float, waited: float, rate: float) -> float:
        """Counts a step in; returns how many seconds it took."""
        now = time.perf_counter()
        seconds, self._mark = now - self._mark, now
        self._steps += 1
        self._seconds += seconds
        self._waited += waited
        self._norm += gradient_norm
        for key, value in zip(_PARTS, (losses.total, losses.score, losses.box, losses.mean_iou), strict=True):
            self._sums[key] += value.item()
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
        values = {key: value / self._steps for key, value in self._sums.items()}
        values |= {"gradient_norm": self._norm / self._steps, "pairs_per_s": pace, "rate": rate}
        values["data_wait"] = self._waited / self._seconds
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)
        left = (self._fit.steps - step) * self._fit.batch / pace / 60
        self._console.print(
            f"step {step}/{self._fit.steps}  {pace:.1f} pairs/s  data wait {values['data_wait']:.0%}  "
            f"loss {values['total']:.3f} (score {values['score']:.3f}, box {values['box']:.3f})  "
            f"IoU {values['iou']:.3f}  gradient {values['gradient_norm']:.1f}  rate {rate:.2f}  {left:.0f} min left",
            highlight=False,
            soft_wrap=True,
        )
