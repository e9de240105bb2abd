"""The alert rules and the dashboard: that they can be read, and ask for metrics that there are, as what they are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from service.telemetry.catalogue import BY_NAME, PREFIX

DOCKER = Path(__file__).parents[4] / "docker"
ALERTS = DOCKER / "alerts.yml"
DASHBOARD = DOCKER / "grafana" / "dashboards" / "lockon.json"
SERIES = re.compile(rf"{PREFIX}(\w+)(?:\{{([^}}]*)\}})?(\[[^\]]+\])?")


def _promtool(*arguments: str) -> str:
    """What promtool says; it is in Debian's package prometheus."""
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is missing, nobody parses the rules: apt-get install prometheus")
    ended = subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def _rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]


def _dashboard() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    return read


def _panels() -> list[dict[str, Any]]:
    return [panel for panel in _dashboard()["panels"] if panel["type"] != "row"]


def _expressions() -> list[tuple[str, str]]:
    """Every question that is asked: (who asks, PromQL)."""
    alerts = [(rule["alert"], rule["expr"]) for rule in _rules()]
    return alerts + [(panel["title"], target["expr"]) for panel in _panels() for target in panel["targets"]]


@pytest.mark.parametrize(("who", "expression"), _expressions(), ids=lambda value: value[:40].replace(" ", "_"))
def test_every_expression_asks_for_metrics_that_there_are_as_what_they_are(who: str, expression: str) -> None:
    series = SERIES.findall(expression)
    assert series or who == "LockonDown"
    for name, selectors, window in series:
        metric = BY_NAME.get(name) or BY_NAME[re.sub(r"_(bucket|sum|count)$", "", name)]
        assert (metric.kind == "histogram") == (name != metric.name), f"{who}: {name}"
        # A gauge has no rate, and of the others nothing else is of use.
        assert (metric.kind != "gauge") == ("rate(" + PREFIX + name in expression), f"{who}: {name}"
        assert bool(window) == (metric.kind != "gauge") or "deriv(" in expression
        labels = {*metric.labels, "instance"} | ({"le"} if name.endswith("_bucket") else set())
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', selectors):
            assert label in labels, f"{who}: {name} has no label {label}"
            known = metric.labels[label].names if label in metric.labels else ()
            assert all(part in known for part in value.split("|")) or not known, f"{who}: {label}={value}"
        for grouped in re.findall(r"by \(([^)]*)\)", expression):
            assert {label.strip() for label in grouped.split(",")} <= {*labels, "le"} | _labels_of(series), who


def _labels_of(series: list[tuple[str, str, str]]) -> set[str]:
    """The labels of all metrics of an expression."""
    names = [BY_NAME.get(name) or BY_NAME[re.sub(r"_(bucket|sum|count)$", "", name)] for name, _, _ in series]
    return {label for metric in names for label in metric.labels}


def test_every_quantile_is_made_of_buckets_with_their_bounds() -> None:
    for who, expression in _expressions():
        for argument in re.findall(r"histogram_quantile\([\d.]+, (.{60})", expression):
            assert argument.startswith("sum by (le"), who
            assert "_bucket" in expression, who


def test_every_alert_says_what_is_wrong_and_how_urgent_it_is() -> None:
    rules = _rules()
    assert len({rule["alert"] for rule in rules}) == len(rules) >= 14
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert len(rule["annotations"]["summary"]) > 20
        assert rule["for"]


def test_every_alert_is_shown_to_speak() -> None:
    tested = yaml.safe_load((DOCKER / "alerts.test.yml").read_text(encoding="utf-8"))["tests"]
    heard = {case["alertname"] for group in tested for case in group["alert_rule_test"] if case["exp_alerts"]}
    assert heard == {rule["alert"] for rule in _rules()}


def test_prometheus_reads_the_rules_and_they_speak_when_they_should() -> None:
    assert f"{len(_rules())} rules found" in _promtool("check", "rules", str(ALERTS))
    assert "SUCCESS" in _promtool("test", "rules", str(DOCKER / "alerts.test.yml"))


def test_prometheus_reads_every_expression_of_the_dashboard(tmp_path: Path) -> None:
    asked = [expression for _, expression in _expressions()]
    filled = [text.replace("$__rate_interval", "1m").replace("$instance", ".*") for text in asked]
    rules = [{"record": f"asked:{i}", "expr": expression} for i, expression in enumerate(filled)]
    path = tmp_path / "asked.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "asked", "rules": rules}]}), encoding="utf-8")
    assert f"{len(rules)} rules found" in _promtool("check", "rules", str(path))


def test_the_dashboard_is_what_grafana_can_draw() -> None:
    dashboard = _dashboard()
    source = yaml.safe_load((DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text(encoding="utf-8"))
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, f"{panel['title']} lies on another panel"
        taken |= cells
    for panel in _panels():
        assert panel["datasource"]["uid"] == source["datasources"][0]["uid"]
        assert panel["targets"], panel["title"]
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
        for target in panel["targets"]:
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = {label.strip() for by in re.findall(r"by \(([^)]*)\)", target["expr"]) for label in by.split(",")}
            assert shown <= grouped, panel["title"]


def test_the_dashboard_has_a_row_for_each_question() -> None:
    titles = [panel["title"] for panel in _dashboard()["panels"] if panel["type"] == "row"]
    assert titles[0] == "Is it us, the network or the camera?"
    assert len(titles) == 8


def test_the_dashboard_and_the_alerts_leave_no_metric_unwatched() -> None:
    watched = {name for _, expression in _expressions() for name, _, _ in SERIES.findall(expression)}
    watched = {name if name in BY_NAME else re.sub(r"_(bucket|sum|count)$", "", name) for name in watched}
    assert set(BY_NAME) - watched == {
        "build_info",
        "warmup_seconds",
        "resume_seconds",
        "frames_waiting",
        "results_coalesced_total",
    }
