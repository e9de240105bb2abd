"""The metrics of a running server: all there, bounded whatever clients do, and adding up."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import httpx
import yaml

from service.telemetry.catalogue import METRICS, PREFIX
from tests.drawing import Drawing
from tests.end_to_end.conftest import TS_VALID, RunningServer, StartServer, opened, streaming, with_header
from tests.waiting import until

DOCKER = Path(__file__).parents[2] / "docker"
DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
_HEADERS = {"Content-Type": "application/json", "traceparent": "nonsense"}
HOSTILE = [
    "../../etc/passwd",
    'a"} 1\nlockon_up 1',
    "x" * 200,
    "модель",
    "\u202e",
    "{{7*7}}",
    "'; DROP TABLE--",
    "a\\b",
]


async def _scraped(server: RunningServer) -> str:
    async with httpx.AsyncClient(base_url=server.http) as http:
        return (await http.get("/metrics")).text


def _types(text: str) -> dict[str, str]:
    return dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.MULTILINE))


def _values(text: str) -> dict[str, float]:
    pairs = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    return {name.removeprefix(PREFIX): float(value) for name, value in pairs}


def _total(values: dict[str, float], name: str) -> float:
    return sum(value for series, value in values.items() if series.split("{")[0] == name)


def _visits(port: int) -> Counter[int]:
    """500 sessions are asked for, each in words of its own, and paths and methods that there are not."""
    answers: Counter[int] = Counter()
    line = HTTPConnection("127.0.0.1", port, timeout=20)
    for index in range(500):
        name = f"{HOSTILE[index % len(HOSTILE)]}{index}"[:60]
        body = {"label": name, "metadata": {"n": name}} | ({"model": name} if index % 5 == 0 else {})
        line.request("POST", "/v1/sessions", json.dumps(body), _HEADERS)
        with line.getresponse() as answer:
            answer.read()
            answers[answer.status] += 1
        if index % 10 == 0:
            line.request(f"M{index}", f"/v1/sessions/ses_{index}?q={quote(name)}")
            with line.getresponse() as answer:
                answer.read()
    line.close()
    return answers


async def test_a_running_server_has_every_metric_that_the_rules_and_the_dashboard_ask_for(
    server: RunningServer,
) -> None:
    types = _types(await _scraped(server))
    assert types == {metric.full_name: metric.kind for metric in METRICS}
    rules = yaml.safe_load((DOCKER / "alerts.yml").read_text(encoding="utf-8"))
    dashboard = json.loads((DOCKER / "grafana/dashboards/lockon.json").read_text(encoding="utf-8"))
    asked = [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    asked += [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    for name in {name for text in asked for name in re.findall(rf"{PREFIX}\w+", text)}:
        if name not in types:
            family, part = re.fullmatch(r"(\w+)_(bucket|sum|count)", name).groups()  # type: ignore[union-attr]
            assert types.get(family) == "histogram", (name, part)


async def test_five_hundred_hostile_sessions_make_no_series_of_their_own(start_server: StartServer) -> None:
    server = start_server({"limits": {"max_sessions": 2000, "min_fps": 0}})
    answers = await asyncio.to_thread(_visits, server.port)
    assert answers[201] == 400  # the others named models that there are not
    for index in range(20):
        async with opened(server) as talk:
            target = {"id": f"t-{index}", "box": FIRST, "label": HOSTILE[index % len(HOSTILE)][:60]}
            await talk.ask({"type": "hello", "create": {"targets": [target]}}, "welcome")
            await talk.ask(DRAWING.jpeg(0), "result")
            await talk.say(bytes([index]) * index)
            await talk.socket.close(4000 + index)
    await until(lambda: len(server.app.state.registry) == 400)
    text = await _scraped(server)
    families = Counter(re.split(r"_(?:bucket|sum|count|total)\b", name.split("{")[0])[0] for name in _values(text))
    bounds = {metric.name.removesuffix("_total"): metric.most_series for metric in METRICS}
    assert all(count <= bounds[family] for family, count in families.items())
    assert sum(families.values()) < 600
    labels = set(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', text))
    for label, value in labels:
        assert re.fullmatch(r"[\w./{}+:-]{0,60}", value), (label, value)
    assert {value for label, value in labels if label == "model"} == {"dummy"}
    assert {value for label, value in labels if label == "code"} >= {"other"}


async def test_what_became_of_frames_adds_up_and_every_stage_is_measured(start_server: StartServer) -> None:
    server = start_server()
    async with streaming(server, FIRST) as talk:
        for index in range(4):
            stamped = with_header(DRAWING.jpeg(index), index + 1, flags=TS_VALID, ts_us=40_000 * (index + 1))
            await talk.ask(stamped, "result")
        for index in range(40):
            await talk.say(with_header(DRAWING.jpeg(index), index + 10))
        await talk.say(b"no frame")
        await talk.hear_of("warning")
        values = _values(await _scraped(server))
    fates = ("frames_processed_total", "frames_dropped_total", "frames_rejected_total", "frames_waiting")
    assert _total(values, "frames_received_total") == 45 == sum(_total(values, name) for name in fates)
    processed = values['frames_processed_total{model="dummy"}']
    for stage in ("wait", "decode", "prep", "infer", "post"):
        assert values[f'stage_seconds_count{{stage="{stage}"}}'] == processed
    assert values['stage_seconds_count{stage="send"}'] >= 4
    assert values['stage_seconds_sum{stage="wait"}'] > 0
    assert values['frame_delay_seconds_count{model="dummy"}'] == 4
    assert values['frame_interval_seconds_count{at="camera"}'] == 3
    assert abs(values['frame_interval_seconds_sum{at="camera"}'] - 0.12) < 1e-6
    assert values['frame_interval_seconds_count{at="server"}'] == 43
    assert values['workers{state="alive"}'] == values['workers{state="configured"}'] >= 1
    assert values['capacity_frames_per_second{device="cpu",model="dummy"}'] > 0
    assert values['memory_bytes{kind="frames"}'] > 0
    assert values['memory_bytes{kind="state"}'] > 0
