"""What is counted for each model, and that it ends with the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter

from service.engine.counters import Drop
from service.protocol.header import Reason

if TYPE_CHECKING:
    from service.telemetry.metrics import Metrics

_KINDS = {False: "full", True: "window"}


class ModelTally:
    """Fates of the frames of one model's sessions; obeys `service.engine.counters.Tally`."""

    def __init__(self, metrics: Metrics, model: str) -> None:
        self._metrics = metrics
        self._model = model
        self._received = {window: metrics.received.labels(model, kind) for window, kind in _KINDS.items()}
        self._processed = metrics.processed.labels(model)
        self._age = metrics.age.labels(model)
        self._delay = metrics.delay.labels(model)
        self._batch = metrics.batch_size.labels(model)
        self._faults = metrics.faults.labels(model)
        self._ratio = metrics.rate_ratio.labels(model)
        self._lost = metrics.lost.labels(model)
        self._transitions: dict[tuple[str, str], Counter] = {}

    def received(self, *, window: bool) -> None:
        """A binary message came, of a full frame or of a window."""
        self._received[window].inc()

    def spaced(self, camera_s: float | None, server_s: float) -> None:
        """A good frame came so long after the one before it, and was taken so long after it if its time is known."""
        if camera_s is not None:
            self._metrics.intervals["camera"].observe(camera_s)
        self._metrics.intervals["server"].observe(server_s)

    def delayed(self, seconds: float) -> None:
        """A frame came so much later than the best of the last minutes."""
        self._delay.observe(seconds)

    def processed(self, age_s: float) -> None:
        """A frame was answered, so long after it came."""
        self._processed.inc()
        self._age.observe(age_s)

    def dropped(self, reason: Drop, count: int) -> None:
        """Good frames that are not processed."""
        self._metrics.drops[reason].inc(count)
        if reason is Drop.INTERNAL:
            self._faults.inc(count)

    def rejected(self, reason: Reason) -> None:
        """A frame that could not be used."""
        self._metrics.rejections[reason].inc()

    def moved(self, before: str, after: str) -> None:
        """A target changed its state."""
        transition = self._transitions.get((before, after))
        if transition is None:
            transition = self._metrics.transitions.labels(before, after, self._model)
            self._transitions[before, after] = transition
        transition.inc()

    def found(self, lost_s: float) -> None:
        """A target was found again, after so long."""
        self._lost.observe(lost_s)

    def ran(self, targets: int) -> None:
        """The network was run for so many targets at once."""
        self._batch.observe(targets)

    def shared(self, ratio: float) -> None:
        """A session got that share, 0..1, of what it sent or was promised."""
        self._ratio.observe(ratio)

    def end(self) -> None:
        """Takes the model's series out of the exposition."""
        metrics = self._metrics
        for kind in _KINDS.values():
            metrics.received.remove(self._model, kind)
        for family in (
            metrics.processed,
            metrics.age,
            metrics.delay,
            metrics.batch_size,
            metrics.faults,
            metrics.rate_ratio,
            metrics.fairness,
            metrics.lost,
        ):
            family.remove(self._model)
        for before, after in self._transitions:
            metrics.transitions.remove(before, after, self._model)
