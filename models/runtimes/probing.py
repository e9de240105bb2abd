"""Which of the runtimes that are installed runs a model's graphs fastest on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from models.families import FAMILIES
from models.runtimes.base import Best, Features, GraphInvalid, Runtime
from models.runtimes.comparing import difference
from models.runtimes.kinds import Precision, RuntimeKind, RuntimeUnavailable
from models.runtimes.opening import Graphs, check_available, open_runtime, precision_of
from models.spec import ModelSpec

CANDIDATES = (RuntimeKind.ONNXRUNTIME, RuntimeKind.OPENVINO)
"""Those that read the graphs of every package. The first one is taken unless another is clearly faster."""
CLEARLY = 0.95
"""Share of the first one's time below which another one is worth its memory and its time to load."""
WARM_UP_RUNS = 2
LEAST_RUNS, MOST_RUNS = 3, 12
PROBE_S = 0.4
"""Time after which no further runs are measured."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What was measured of the runtimes that could be had."""

    search_ms: Mapping[RuntimeKind, float]
    """milliseconds of one search, of those with the same boxes"""
    refused: Mapping[RuntimeKind, str]
    """those with other boxes, and how far they were apart; those that could not load the graphs, and why"""


def fastest(
    graphs: Graphs, spec: ModelSpec, *, threads: int, device: str, precision: Precision | Literal["auto"]
) -> tuple[Runtime, Probe | None]:
    """The runtime that answers soonest with the same boxes as the first, or in bf16 where `precision_of` lets it; no
    probe where there is no choice.

    Raises RuntimeUnavailable where none can be had, and GraphInvalid."""
    numbers = dict(_available(device, precision, spec))
    kinds = list(numbers)
    if not kinds:
        raise RuntimeUnavailable(f"no runtime for {device} in {precision} is installed; models.runtime names one")
    opened: dict[RuntimeKind, Runtime] = {}
    refused: dict[RuntimeKind, str] = {}
    for kind in kinds:
        try:
            opened[kind] = open_runtime(graphs, kind, threads=threads, device=device, precision=numbers[kind])
        except GraphInvalid as error:
            if not opened:
                raise
            refused[kind] = str(error)
    if len(kinds) == 1:
        return opened[kinds[0]], None
    searches = {kind: _Search(runtime, spec) for kind, runtime in opened.items()}
    expected = searches[kinds[0]].run()
    for kind, search in searches.items():
        apart = difference(search.run(), expected)
        if not apart.negligible and opened[kind].precision is Precision.F32:
            refused[kind] = f"its boxes differ by {apart}"
    search_ms = _measured({kind: search for kind, search in searches.items() if kind not in refused})
    quickest = min(search_ms, key=lambda kind: search_ms[kind])
    chosen = quickest if search_ms[quickest] < CLEARLY * search_ms[kinds[0]] else kinds[0]
    return opened[chosen], Probe(search_ms, refused)


class _Search:
    """A search for one made-up target, ready to be repeated."""

    def __init__(self, runtime: Runtime, spec: ModelSpec) -> None:
        self._runtime = runtime
        kind = FAMILIES[spec.family].crop_type
        template = runtime.template(_blobs(spec.crop.template_size)[None].astype(kind))
        self._features: list[Features] = template
        if spec.template_count > 1:
            self._features = [runtime.joined(template * spec.template_count)]
        self._crops = _blobs(spec.crop.search_size)[None].astype(kind)
        self._size = np.array([[60.0, 48.0]], np.float32)
        self._loop = np.array([[spec.loop.penalty_k, spec.loop.window_influence, spec.loop.size_lr]], np.float32)

    def run(self) -> Best:
        """One search."""
        return self._runtime.search(self._features, self._crops, self._size, self._loop)


def _available(
    device: str, precision: Precision | Literal["auto"], spec: ModelSpec
) -> Iterator[tuple[RuntimeKind, Precision]]:
    for kind in CANDIDATES:
        numbers = precision_of(precision, kind, device, spec)
        try:
            check_available(kind, device, numbers)
        except RuntimeUnavailable:
            continue
        yield kind, numbers


def _measured(searches: Mapping[RuntimeKind, _Search]) -> dict[RuntimeKind, float]:
    """The shortest time of each, in turns: whatever else the machine does can only make a run longer."""
    for search in searches.values():
        for _ in range(WARM_UP_RUNS):
            search.run()
    best_s = dict.fromkeys(searches, float("inf"))
    end_s = time.perf_counter() + PROBE_S
    for count in range(MOST_RUNS):
        if count >= LEAST_RUNS and time.perf_counter() > end_s:
            break
        for kind, search in searches.items():
            began_s = time.perf_counter()
            search.run()
            best_s[kind] = min(best_s[kind], time.perf_counter() - began_s)
    return {kind: round(seconds * 1e3, 3) for kind, seconds in best_s.items()}


def _blobs(side: int) -> np.ndarray:
    """Smooth blobs, the same each time: noise would give maps without a clear peak."""
    coarse = np.random.default_rng(side).integers(0, 256, (7, 7, 3), np.uint8)
    return cv2.resize(coarse, (side, side), interpolation=cv2.INTER_CUBIC)
