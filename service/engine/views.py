"""Parts of a result, as pure functions of what a worker found."""

from __future__ import annotations

from collections.abc import Sequence

from models.package import DUMMY
from models.presence import State
from models.target import Estimate, Target
from models.tracker import Tracker
from service.engine.jobs import Followed, Timings
from service.engine.models import Model
from service.protocol.header import Frame
from service.protocol.results import Payload

WINDOW_MARGIN = 0.25
"""How much wider than the search region the window is that the client is asked for: the target moves meanwhile."""


def model_view(model: Model) -> Payload:
    """What a model is, in `welcome` and in /v1/models."""
    spec = model.tracker.spec
    return {
        "id": model.id,
        "state": model.state,
        "family": spec.family,
        # The dummy has no network.
        "architecture": None if model.tracker.runtime.name == DUMMY else spec.network.architecture,
        "input": spec.crop.search_size,
        "template": spec.crop.template_size,
        "search_sizes": list(spec.search_sizes),
        "search_factor": round(spec.crop.search_size / spec.crop.template_size, 3),
    } | runtime_view(model)


def runtime_view(model: Model) -> Payload:
    """What runs a model, where, and in which numbers: what it does, which may be less than what was asked for."""
    runtime = model.tracker.runtime
    return {"runtime": runtime.name, "device": runtime.device, "precision": str(runtime.precision)}


def target_view(entry: Followed, target: Target, estimate: Estimate | None, lost_ms: float | None) -> Payload:
    """One entry of a result's `targets`; no estimate means that the target was started on this very frame."""
    box, score = (estimate.box, estimate.score) if estimate else (target.box, 1.0)
    return {
        "id": entry.id,
        "box": [round(value, 4) for value in box.xywh()],
        "score": round(score, 4),
        "raw": round(score, 4),
        "state": entry.state,
        "lost_ms": None if lost_ms is None else round(lost_ms, 1),
        "search": "none" if estimate is None else "wide" if estimate.state is State.LOST else "local",
    }


def timings_view(wait_ms: float, timings: Timings) -> Payload:
    """A result's `timings`, in ms, without the last stage, which is known when it is sent."""
    stages = {
        "wait": wait_ms,
        "decode": timings.decode,
        "prep": timings.prep,
        "infer": timings.infer,
        "post": timings.post,
    }
    return {name: round(value, 3) for name, value in stages.items()} | {"batch": timings.batch}


def next_window(tracker: Tracker, targets: Sequence[Target], frame: Frame) -> Payload:
    """A result's `next`: the part of the next frame that will be looked at, with a margin, inside the frame."""
    if not targets:
        return {"full": True, "window": None, "max_scale": 1.0}
    windows = [tracker.next_window(target) for target in targets]
    grown = [
        (w.x - w.side * WINDOW_MARGIN / 2, w.y - w.side * WINDOW_MARGIN / 2, w.side * (1 + WINDOW_MARGIN))
        for w in windows
    ]
    left, top = max(0, int(min(x for x, _, _ in grown))), max(0, int(min(y for _, y, _ in grown)))
    right = min(frame.header.width, int(max(x + side for x, _, side in grown)) + 1)
    bottom = min(frame.header.height, int(max(y + side for _, y, side in grown)) + 1)
    # Full frames are asked for until window crops are taken; the window tells already what will be looked at.
    sizes = [_search_size(tracker, target) for target in targets]
    scale = min(1.0, max(size / window.side for size, window in zip(sizes, windows, strict=True)))
    return {
        "full": True,
        "window": [left, top, max(0, right - left), max(0, bottom - top)],
        "max_scale": round(scale, 4),
    }


def _search_size(tracker: Tracker, target: Target) -> int:
    """Side of the crop that the target's next window is cut to."""
    long_term = tracker.spec.long_term
    return long_term.search_size if long_term is not None and target.lost else target.search_size
