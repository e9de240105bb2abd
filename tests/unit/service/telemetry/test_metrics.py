"""The metrics are those of the catalogue, the catalogue is what the page says, and no label is open."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.presence import State
from service.engine.counters import Counters, Drop
from service.engine.resume import Refusal
from service.protocol.header import Reason
from service.telemetry.catalogue import BY_NAME, METRICS, PREFIX, TARGET_STATES
from service.telemetry.documents import page_with_tables
from service.telemetry.metrics import Metrics

ROOT = Path(__file__).parents[4]
SERVICE, PAGE = ROOT / "service", ROOT / "docs" / "metrics.md"


def _samples(metrics: Metrics, name: str) -> dict[str, float]:
    """Samples of a metric by their labels in the text's form."""
    lines = [line for line in metrics.exposition().decode().splitlines() if line.startswith(PREFIX + name)]
    return {line.split(" ")[0].removeprefix(PREFIX): float(line.split(" ")[1]) for line in lines}


def test_the_exposition_has_the_metrics_of_the_catalogue_and_no_others() -> None:
    families = {family.name: family for family in Metrics().registry.collect()}
    expected = {metric.full_name.removesuffix("_total"): metric for metric in METRICS}
    assert families.keys() == expected.keys()
    for name, family in families.items():
        assert family.type == expected[name].kind
        assert family.documentation == expected[name].help


def test_every_metric_says_what_it_means_and_counters_end_as_counters_do() -> None:
    for metric in METRICS:
        assert len(metric.help) > 15
        assert not metric.help.endswith(".")
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert bool(metric.buckets) == (metric.kind == "histogram")
        assert metric.most_series < 10_000
        for values in metric.labels.values():
            assert values.count > 0


def test_the_page_has_the_tables_that_the_code_stands_for() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_tables(text) == text, "run python -m service.telemetry.documents"
    assert all(metric.full_name in text for metric in METRICS)


def test_labels_list_what_the_code_can_say() -> None:
    assert set(BY_NAME["frames_dropped_total"].labels["reason"].names) == set(Drop)
    assert set(BY_NAME["frames_rejected_total"].labels["reason"].names) == set(Reason)
    assert set(TARGET_STATES.names) == set(State)
    assert set(Refusal) < set(BY_NAME["resume_total"].labels["result"].names)
    code = "\n".join(path.read_text(encoding="utf-8") for path in sorted(SERVICE.rglob("*.py")))
    reasons = set(re.findall(r'(?:registry|self)\.close\(\w+(?:\.\w+\([^)]*\))?, "(\w+)"', code))
    assert {*reasons, "other"} == set(BY_NAME["sessions_closed_total"].labels["reason"].names)
    assert set(re.findall(r'(?:_timed|store_op)\("(\w+)"', code)) == set(BY_NAME["store_op_seconds"].labels["op"].names)


def test_what_is_in_no_list_becomes_other() -> None:
    metrics = Metrics()
    metrics.session_closed("bye")
    metrics.session_closed("made up")
    metrics.resumed("made up")
    metrics.connection_opened()
    metrics.connection_closed(4999)
    for name in ("sessions_closed_total", "resume_total", "connections_closed_total"):
        counted = {series for series, value in _samples(metrics, name).items() if value}
        assert any('="other"' in series for series in counted)
        assert not any("made up" in series or "4999" in series for series in counted)


def test_the_series_of_a_model_end_with_it() -> None:
    metrics = Metrics()
    tally = metrics.tally("gone")
    tally.received(window=True)
    tally.processed(0.01)
    tally.delayed(0.01)
    tally.dropped(Drop.INTERNAL, 1)
    tally.moved("tracking", "lost")
    tally.found(2.0)
    tally.ran(1)
    tally.shared(0.5)
    metrics.fairness.labels("gone").set(1)
    assert 'model="gone"' in metrics.exposition().decode()
    metrics.forget("gone")
    assert "gone" not in metrics.exposition().decode()


def test_frames_that_fail_count_as_faults_of_their_model() -> None:
    metrics = Metrics()
    metrics.tally("m").dropped(Drop.INTERNAL, 2)
    metrics.tally("m").dropped(Drop.NEWER, 5)
    assert _samples(metrics, "faults_total") == {'faults_total{model="m"}': 2.0}


@pytest.mark.parametrize(
    ("frames", "camera", "server"),
    [
        # (time stamp in us, arrival in s)
        ([(1_000_000, 10.0), (1_040_000, 10.1)], [0.04], [0.1]),
        ([(None, 10.0), (1_040_000, 10.1)], [], [0.1]),
        ([(1_000_000, 10.0), (None, 10.1)], [], [0.1]),
        ([(2_000_000, 10.0), (1_000_000, 10.1)], [], [0.1]),
        ([(1_000_000, 10.0)], [], []),
    ],
    ids=["both clocks", "no stamp before", "no stamp now", "clock set back", "first frame"],
)
def test_the_time_between_frames_is_told_at_the_camera_and_at_the_server(
    frames: list[tuple[int | None, float]], camera: list[float], server: list[float]
) -> None:
    metrics = Metrics()
    counters = Counters(metrics.tally("m"))
    for ts_us, now_s in frames:
        counters.space(ts_us, now_s)
    found = _samples(metrics, "frame_interval_seconds")
    for place, expected in (("camera", camera), ("server", server)):
        assert found[f'frame_interval_seconds_count{{at="{place}"}}'] == len(expected)
        assert found[f'frame_interval_seconds_sum{{at="{place}"}}'] == pytest.approx(sum(expected))


def test_the_store_counts_as_up_until_it_is_said_to_be_away() -> None:
    metrics = Metrics()
    assert _samples(metrics, "store_up") == {"store_up": 1.0}
    metrics.store_up(False)
    metrics.store_op("save", 0.1, failed=True)
    assert _samples(metrics, "store_up") == {"store_up": 0.0}
    assert _samples(metrics, "store_errors_total")['store_errors_total{op="save"}'] == 1.0
