"""Counters and histograms of what happens with every frame: plain numbers, in Prometheus' form only when it asks.

Those of `prometheus_client` take a lock for each number, and a histogram tries its buckets one by one. Everything here
is counted and collected on the event loop's thread."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from service.telemetry.catalogue import Metric


class Count:
    """A number that only grows."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """So many more."""
        self.value += amount


class Spread:
    """How many values there were up to each bound; values above the last one count as well."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """One more value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


_Child = TypeVar("_Child", Count, Spread)


class _Family(Collector, Generic[_Child]):
    """A metric of the catalogue with its children, one for each set of labels."""

    def __init__(self, metric: Metric, registry: CollectorRegistry, child: Callable[[], _Child]) -> None:
        self._metric = metric
        self._child: Callable[[], _Child] = child
        self._children: dict[tuple[str, ...], _Child] = {}
        registry.register(self)

    def labels(self, *values: str) -> _Child:
        """The child with these labels, which is there from now on."""
        child = self._children.get(values)
        if child is None:
            assert len(values) == len(self._metric.labels)
            child = self._children[tuple(map(str, values))] = self._child()
        return child

    def remove(self, *values: str) -> None:
        """The child with these labels ends."""
        self._children.pop(values, None)


class Counts(_Family[Count]):
    """A counter."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        super().__init__(metric, registry, Count)

    def collect(self) -> Iterator[CounterMetricFamily]:
        """For Prometheus."""
        family = CounterMetricFamily(self._metric.full_name, self._metric.help, labels=tuple(self._metric.labels))
        for values, child in self._children.items():
            family.add_metric(values, child.value)
        yield family


class Spreads(_Family[Spread]):
    """A histogram."""

    def __init__(self, metric: Metric, registry: CollectorRegistry) -> None:
        bounds = tuple(map(float, metric.buckets))
        self._shown = [*map(floatToGoString, bounds), "+Inf"]
        super().__init__(metric, registry, lambda: Spread(bounds))

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """For Prometheus."""
        family = HistogramMetricFamily(self._metric.full_name, self._metric.help, labels=tuple(self._metric.labels))
        for values, child in self._children.items():
            counts = accumulate(map(float, child.counts))
            family.add_metric(values, list(zip(self._shown, counts, strict=True)), child.total)
        yield family
