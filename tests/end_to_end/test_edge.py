"""The edge's configuration with a real HAProxy: which replica a request is led to."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import sync_playwright

from service.ids import new_id
from tests.drawing import Drawing
from tests.edge import NAME, Edge, edge_or_skip
from tests.end_to_end.browsing import CHROMIUM, FLAGS, opened, wait_until
from tests.end_to_end.conftest import RunningServer, StartServer
from tests.redis_server import RedisServer, redis_or_skip
from tests.waiting import until

TIMEOUT_S = 20.0
DRAWING = Drawing()
REPLICA = "x-lockon-replica"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    yield from redis_or_skip()


@pytest.fixture(scope="module")
def replicas(redis: RedisServer, start_server: StartServer) -> list[RunningServer]:
    """The first one takes a single session."""
    store = {"url": redis.url, "token_keys": ["a key for tests, of no other use"], "timeout_s": 2}
    return [
        start_server(
            {
                "store": store,
                "fleet": {"address": f"/n/{NAME.format(i + 1)}"},
                "limits": {"max_sessions": most, "min_fps": 0},
            }
        )
        for i, most in enumerate((1, 64))
    ]


@pytest.fixture(scope="module")
def edge(replicas: list[RunningServer], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    edge_or_skip()
    edge = Edge(tmp_path_factory.mktemp("edge"), [replica.port for replica in replicas])
    yield edge
    edge.end()


@pytest.fixture
def http(edge: Edge) -> Iterator[httpx.Client]:
    """A client of the edge."""
    with httpx.Client(base_url=edge.http, timeout=TIMEOUT_S) as client:
        yield client


def test_a_path_with_a_replicas_name_leads_there_and_a_sessions_id_always_to_the_same_one(http: httpx.Client) -> None:
    for name in ("lockon-1", "lockon-2"):
        answer = http.get(f"/n/{name}/version")
        assert (answer.headers[REPLICA], answer.json()["name"]) == (name, "lockon")
        assert http.get(f"/n/{name}/v1/sessions/{new_id('ses')}").headers[REPLICA] == name
        for bare in (f"/n/{name}", f"/n/{name}?from=here"):
            answer = http.get(bare)
            assert (answer.status_code, answer.headers["location"]) == (308, f"/n/{name}/")
        page = http.get(f"/n/{name}", follow_redirects=True)
        assert (page.status_code, page.headers[REPLICA]) == (200, name)
    assert http.get("/n/unknown/version").status_code == 200, "another one answers in its place"
    ids = [new_id("ses") for _ in range(40)]
    places = {name: {http.get(f"/v1/sessions/{name}").headers[REPLICA] for _ in range(2)} for name in ids}
    assert all(len(place) == 1 for place in places.values())
    assert {"lockon-1", "lockon-2"} == set().union(*places.values())


def test_what_is_for_operators_alone_is_not_seen_from_outside(http: httpx.Client) -> None:
    for path in ("/metrics", "/n/lockon-1/metrics", "/%6detrics", "/n/lockon-1/metric%73"):
        answer = http.get(path)
        assert (answer.status_code, "lockon_" in answer.text) == (404, False), path


@pytest.mark.browser
def test_the_pages_client_goes_where_there_is_room(
    edge: Edge, http: httpx.Client, replicas: list[RunningServer]
) -> None:
    if CHROMIUM is None:
        if os.environ.get("CI") == "true":
            pytest.fail("no Chromium (apt-get install chromium)")
        pytest.skip("no Chromium (apt-get install chromium)")
    assert httpx.post(f"{replicas[0].http}/v1/sessions").status_code == 201
    asyncio.run(until(lambda: replicas[0].app.state.fleet.has_room))  # it has heard of the other one
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        with opened(browser, f"{edge.http}/") as page:
            page.evaluate(
                """async ([box, file]) => {
                  const { Lockon } = await import("/lockon.js");
                  const picture = new Blob([Uint8Array.from(atob(file), (letter) => letter.charCodeAt(0))]);
                  window.tried = { results: 0, errors: 0 };
                  const link = new Lockon("/n/lockon-1/v1/stream", { targets: [{ id: "t", box }] });
                  link.addEventListener("error", () => (window.tried.errors += 1));
                  link.addEventListener("result", () => (window.tried.results += 1));
                  link.addEventListener("open", () => {
                    window.tried.session = link.session;
                    link.send(picture, { must: true });
                  });
                }""",
                [list(DRAWING.box(0).xywh()), base64.b64encode(DRAWING.jpeg(0)).decode()],
            )
            wait_until(page, "window.tried.results === 1")
            assert replicas[1].app.state.registry.find(page.evaluate("window.tried.session"))
            assert page.evaluate("window.tried.errors") == 0
        browser.close()
