"""Our own counters and histograms say what `prometheus_client`'s would."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from service.telemetry.catalogue import BY_NAME, Metric, Values
from service.telemetry.series import Counts, Spreads

COUNTER, HISTOGRAM = BY_NAME["frames_dropped_total"], BY_NAME["frame_age_seconds"]
LABELS = st.sampled_from(["a", "b", 'with "quotes"\nand lines'])
VALUES = st.one_of(st.sampled_from(HISTOGRAM.buckets), st.floats(0, 10))


def _text(fill: Callable[[CollectorRegistry], None]) -> str:
    registry = CollectorRegistry()
    fill(registry)
    return generate_latest(registry).decode()


@given(st.lists(st.tuples(LABELS, st.integers(0, 5))))
def test_counters_are_shown_as_prometheus_client_shows_them(steps: list[tuple[str, int]]) -> None:
    def theirs(registry: CollectorRegistry) -> None:
        family = Counter(COUNTER.full_name, COUNTER.help, tuple(COUNTER.labels), registry=registry)
        for label, amount in steps:
            family.labels(label).inc(amount)

    def ours(registry: CollectorRegistry) -> None:
        family = Counts(COUNTER, registry)
        for label, amount in steps:
            family.labels(label).inc(amount)

    assert _text(ours) == _text(theirs)


@given(st.lists(st.tuples(LABELS, VALUES)))
def test_histograms_are_shown_as_prometheus_client_shows_them(steps: list[tuple[str, float]]) -> None:
    def theirs(registry: CollectorRegistry) -> None:
        more = {"labelnames": tuple(HISTOGRAM.labels), "buckets": HISTOGRAM.buckets}
        family = Histogram(HISTOGRAM.full_name, HISTOGRAM.help, registry=registry, **more)  # type: ignore[arg-type]
        for label, value in steps:
            family.labels(label).observe(value)

    def ours(registry: CollectorRegistry) -> None:
        family = Spreads(HISTOGRAM, registry)
        for label, value in steps:
            family.labels(label).observe(value)

    assert _text(ours) == _text(theirs)


def test_a_child_that_ends_is_not_shown_any_more() -> None:
    def one_of_two(registry: CollectorRegistry) -> None:
        family = Counts(Metric("seen_total", "counter", "Seen", {"by": Values(("me", "you"))}), registry)
        family.labels("me").inc()
        family.labels("you").inc(2)
        family.remove("me")
        family.remove("nobody")

    assert 'lockon_seen_total{by="you"} 2.0' in _text(one_of_two)
    assert 'by="me"' not in _text(one_of_two)
