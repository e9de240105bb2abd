"""What is looked up only when Prometheus asks: how many sessions there are, what they keep, what the machine can do."""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from service.engine.registry import Registry
    from service.engine.scheduler import Scheduler
    from service.engine.session import Session


def exposition(metrics: Metrics, registry: Registry, scheduler: Scheduler) -> bytes:
    """The text that Prometheus reads, true now. To be called on the event loop's thread."""
    sessions = registry.all()
    metrics.sessions.clear()
    for labels, count in Counter((session.state, session.model.id) for session in sessions).items():
        metrics.sessions.labels(*labels).set(count)
    metrics.waiting.set(sum(session.waiting for session in sessions))
    metrics.memory.labels("frames").set(registry.held_bytes)
    metrics.memory.labels("state").set(_state_bytes(sessions))
    metrics.memory.labels("rss").set(_resident_bytes())
    metrics.workers.labels("configured").set(scheduler.workers)
    metrics.workers.labels("alive").set(scheduler.alive)
    metrics.capacity.clear()
    for model in registry.models.all():
        if typical_s := model.costs.typical_s:
            metrics.capacity.labels(model.id, model.tracker.runtime.device).set(scheduler.workers / typical_s)
    return metrics.exposition()


def _state_bytes(sessions: Iterable[Session]) -> int:
    """What the targets of these sessions remember of themselves: their template features."""
    targets = [entry.target for session in sessions for entry in session.followed.values() if entry.target is not None]
    # Features are of the runtime's own kind; those that lie on another device say no size here.
    features = (
        array for target in targets for template in target.templates or (target.features,) for array in template
    )
    return sum(getattr(array, "nbytes", 0) for array in features)


def _resident_bytes() -> float:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    return float(pages * resource.getpagesize())
