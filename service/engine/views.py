"""Parts of a result, as pure functions of what a worker found."""

from __future__ import annotations

import math
from collections.abc import Sequence

from models.frames import PixelRect
from models.package import DUMMY
from models.presence import State
from models.runtimes.base import Runtime
from models.searching import Search
from models.target import Estimate, Target
from models.tracker import Tracker
from service.engine.jobs import Followed, Timings
from service.engine.models import Model
from service.protocol.header import MIN_WINDOW, Frame
from service.protocol.results import Payload

WINDOW_MARGIN = 0.25
"""How much wider than the search region the window is that the client is asked for: the target moves meanwhile."""
WINDOW_GRID = 16
"""Windows begin and end at multiples of this, or with the frame: JPEG encoders cut a picture into such blocks, so a
window has the very blocks of the full frame, with the same pixels."""

_SURE = (State.INITIALIZING, State.TRACKING, State.REACQUIRED)


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
    } | runtime_view(model.tracker.runtime)


def runtime_view(runtime: Runtime) -> Payload:
    """What runs a model, where, and in which numbers: what it does, which may be less than what was asked for."""
    return {"runtime": runtime.name, "device": runtime.device, "precision": str(runtime.precision)}


def target_view(entry: Followed, target: Target, estimate: Estimate | None, lost_ms: float | None) -> Payload:
    """One entry of a result's `targets`; no estimate means that the target was started on this very frame,
    or moved there by a hint."""
    box, score, raw = (estimate.box, estimate.probability, estimate.score) if estimate else (target.box, 1.0, 1.0)
    return {
        "id": entry.id,
        "box": [round(value, 4) for value in box.xywh()],
        "score": round(score, 4),
        "raw": round(raw, 4),
        "state": entry.state,
        "lost_ms": None if lost_ms is None else round(lost_ms, 1),
        "search": Search.NONE if estimate is None else estimate.search,
    }


def resting_view(entry: Followed, target: Target, lost_ms: float) -> Payload:
    """The same for a target that was given up and is not looked for in this frame."""
    view = {"id": entry.id, "box": [round(value, 4) for value in target.box.xywh()], "score": 0.0, "raw": 0.0}
    return view | {"state": entry.state, "lost_ms": round(lost_ms, 1), "search": Search.NONE}


def target_info(entry: Followed) -> Payload:
    """A target as `welcome` and the session view show it."""
    box = list(entry.target.box.xywh()) if entry.target else None
    return {"id": entry.id, "label": entry.label, "state": entry.state, "box": box}


def timings_view(timings: Timings) -> Payload:
    """A result's `timings`, in ms, without the last stage, which is known when it is sent."""
    return {
        "wait": round(timings.wait, 3),
        "decode": round(timings.decode, 3),
        "prep": round(timings.prep, 3),
        "infer": round(timings.infer, 3),
        "post": round(timings.post, 3),
        "batch": timings.batch,
    }


def next_window(tracker: Tracker, targets: Sequence[Target], frame: Frame, *, starting: bool = False) -> Payload:
    """A result's `next`: the part of the next frame that will be looked at, with a margin, inside the frame.

    `full`: that part alone will not do; so it is, too, while something is to be started on the next full frame."""
    if not targets:
        return {"full": True, "window": None, "max_scale": 1.0}
    parts, scale, unsure = [], 0.0, False
    for target in targets:
        side = tracker.next_window(target).side
        parts.append(_widened(tracker.reach(target), side))
        scale = max(scale, _search_size(tracker, target) / side)
        unsure = unsure or target.presence.state not in _SURE or tracker.needs_whole(target)
    part = _on_grid(PixelRect.around(parts), frame.width, frame.height)
    no_less = part is None or part[2:] == [frame.width, frame.height] or min(frame.width, frame.height) < MIN_WINDOW
    return {
        "full": starting or unsure or no_less,
        "window": part,
        "max_scale": round(min(1.0, scale), 4),
    }


def _widened(part: PixelRect, side: float) -> PixelRect:
    margin = math.ceil(side * WINDOW_MARGIN / 2)
    return PixelRect(part.x - margin, part.y - margin, part.width + 2 * margin, part.height + 2 * margin)


def _on_grid(part: PixelRect, width: int, height: int) -> list[int] | None:
    """x, y, w, h of the part of a frame of that size that holds this one, from a grid line to another."""
    inside = part.inside(width, height)
    if inside is None:
        return None
    (left, right), (top, bottom) = _cells(inside.x, inside.width, width), _cells(inside.y, inside.height, height)
    return [left, top, right - left, bottom - top]


def _cells(start: int, length: int, limit: int) -> tuple[int, int]:
    """The grid lines around a stretch, of which the last is the frame's edge; far enough apart for a window."""
    first, last = start // WINDOW_GRID * WINDOW_GRID, min(-(-(start + length) // WINDOW_GRID) * WINDOW_GRID, limit)
    if last - first < MIN_WINDOW:  # what is left of the last cell
        first = max(0, first - WINDOW_GRID)
    return first, last


def _search_size(tracker: Tracker, target: Target) -> int:
    """Side of the crop that the target's next window is cut to."""
    long_term = tracker.spec.long_term
    return long_term.search_size if long_term is not None and target.lost else target.search_size
