"""Models that are loaded, replaced and retired while sessions run."""

from __future__ import annotations

import gc
import json
import weakref
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from models.package import write_package
from models.runtimes.dummy import DUMMY_SPEC
from models.spec import ModelSpec
from tests.drawing import Drawing
from tests.end_to_end.conftest import RunningServer, StartServer, Talk, opened, streaming
from tests.unit.models.conftest import TinyGraphs, tiny_graphs
from tests.waiting import until

__all__ = ["tiny_graphs"]

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())
NARROW = replace(DUMMY_SPEC, crop=replace(DUMMY_SPEC.crop, search_size=160))


@pytest.fixture
def packages(tmp_path: Path) -> Path:
    """The folder that the server may load packages from."""
    folder = tmp_path / "packages"
    folder.mkdir()
    return folder


@pytest.fixture
def admin(start_server: StartServer, packages: Path) -> RunningServer:
    """A server that serves `dummy` and lets models be loaded and retired."""
    return start_server({"models": {"default": "dummy", "folders": [packages], "admin": True}})


@pytest.fixture
async def doors(admin: RunningServer) -> AsyncIterator[httpx.AsyncClient]:
    """A client of that server's REST doors."""
    async with httpx.AsyncClient(base_url=admin.http, timeout=20) as client:
        yield client


def write_tiny(folder: Path, graphs: TinyGraphs, spec: ModelSpec = DUMMY_SPEC) -> Path:
    """A package of two graphs with a few nodes."""
    write_package(folder, folder.name, spec, {"template.onnx": graphs.template, "search.onnx": graphs.search}, {}, {})
    return folder


def damage(package: Path) -> None:
    """Changes a byte of a graph, so that its sha256 is wrong."""
    graph = package / "search.onnx"
    content = bytearray(graph.read_bytes())
    content[-1] ^= 1
    graph.write_bytes(content)


async def load(doors: httpx.AsyncClient, name: str, **body: Any) -> dict[str, Any]:
    answer = await doors.post("/v1/models", json={"id": name, **body})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/v1/models/{name}"
    view: dict[str, Any] = answer.json()
    return view


async def states(doors: httpx.AsyncClient) -> dict[str, str]:
    items = (await doors.get("/v1/models")).json()["items"]
    return {item["id"]: item["state"] for item in reversed(items)}


async def boxes(talk: Talk, first: int, last: int) -> list[list[float]]:
    found = []
    for index in range(first, last):
        result = await talk.ask(DRAWING.jpeg(index), "result")
        found.append(result["targets"][0]["box"])
    return found


async def test_a_package_is_loaded_while_serving_and_sessions_choose_by_name(
    admin: RunningServer, doors: httpx.AsyncClient, packages: Path, tiny_graphs: TinyGraphs
) -> None:
    write_tiny(packages / "tiny", tiny_graphs)
    view = await load(doors, "tiny")
    assert (view["state"], view["default"], view["warm"], view["sessions"]) == ("ready", False, True, 0)
    async with streaming(admin, FIRST) as plain, streaming(admin, FIRST, model="tiny") as talk:
        assert plain.welcome["model"]["id"] == "dummy"
        model = talk.welcome["model"]
        assert (model["id"], model["family"], model["runtime"], model["device"]) == (
            "tiny",
            "lockon",
            "onnxruntime",
            "cpu",
        )
        assert (model["input"], model["template"], model["search_sizes"]) == (224, 112, [224])
        for each in (plain, talk):
            assert (await each.ask(DRAWING.jpeg(0), "result"))["targets"][0]["state"] == "initializing"
        assert (await doors.get("/v1/models/tiny")).json()["sessions"] == 1
    assert (await doors.get("/readyz")).json()["models"] == {"dummy": "warm", "tiny": "warm"}
    assert (await doors.get("/v1/models/none")).json()["code"] == "not-found"


async def test_a_retired_model_serves_its_sessions_to_their_end_and_then_nothing_is_left_of_it(
    admin: RunningServer, doors: httpx.AsyncClient, packages: Path, tiny_graphs: TinyGraphs
) -> None:
    write_tiny(packages / "tiny", tiny_graphs)
    await load(doors, "tiny")
    models = admin.app.state.registry.models
    model = weakref.ref(models.ready["tiny"])
    tracker = weakref.ref(models.ready["tiny"].tracker.runtime)
    async with streaming(admin, FIRST, model="tiny", mode="every") as talk:
        undisturbed = await boxes(talk, 0, 8)
    async with streaming(admin, FIRST, model="tiny", mode="every") as talk:
        before = await boxes(talk, 0, 4)
        answer = await doors.delete("/v1/models/tiny")
        assert (answer.status_code, answer.json()["state"], answer.json()["sessions"]) == (202, "retiring", 1)
        assert (await doors.delete("/v1/models/tiny")).status_code == 202
        async with opened(admin) as late:
            error = await late.ask({"type": "hello", "create": {"model": "tiny"}}, "error")
            assert (error["code"], error["fatal"]) == ("unknown_model", True)
            assert "being retired" in error["detail"]
        refused = await doors.post("/v1/sessions", json={"model": "tiny"})
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "unknown_model")
        admin.app.state.registry.sweep(0.0)
        assert before + await boxes(talk, 4, 8) == undisturbed
        assert await states(doors) == {"dummy": "ready", "tiny": "retiring"}
        assert 'lockon_frames_processed_total{model="tiny"} 16.0' in (await doors.get("/metrics")).text
    await until(lambda: len(models.all()) == 1)
    assert 'model="tiny"' not in (await doors.get("/metrics")).text
    assert (await doors.delete("/v1/models/tiny")).status_code == 404
    gc.collect()
    await until(lambda: model() is None and tracker() is None)


async def test_a_changed_package_is_for_new_sessions_and_the_old_one_for_those_that_run(
    admin: RunningServer, doors: httpx.AsyncClient, packages: Path, tiny_graphs: TinyGraphs
) -> None:
    write_tiny(packages / "tiny", tiny_graphs)
    await load(doors, "tiny")
    async with streaming(admin, FIRST, model="tiny", mode="every") as talk:
        undisturbed = await boxes(talk, 0, 6)
    async with streaming(admin, FIRST, model="tiny", mode="every") as old:
        found = await boxes(old, 0, 3)
        write_tiny(packages / "tiny", tiny_graphs, NARROW)
        assert (await load(doors, "tiny"))["input"] == 160
        async with streaming(admin, FIRST, model="tiny") as new:
            assert (old.welcome["model"]["input"], new.welcome["model"]["input"]) == (224, 160)
            await boxes(new, 0, 2)
            assert found + await boxes(old, 3, 6) == undisturbed
            items = (await doors.get("/v1/models")).json()["items"]
            mine = [(item["input"], item["state"], item["sessions"]) for item in items if item["id"] == "tiny"]
            assert mine == [(160, "ready", 1), (224, "retiring", 1)]
            assert (await doors.get("/v1/models/tiny")).json()["input"] == 160


async def test_a_running_session_moves_to_another_model_and_takes_its_targets_along(
    admin: RunningServer, doors: httpx.AsyncClient, packages: Path, tiny_graphs: TinyGraphs
) -> None:
    write_tiny(packages / "tiny", tiny_graphs, NARROW)
    await load(doors, "tiny")
    async with streaming(admin, FIRST, mode="every") as talk:
        await boxes(talk, 0, 3)
        address = f"/v1/sessions/{talk.welcome['session']}"
        refused = await doors.patch(address, json={"model": "tiny"})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/model")
        unknown = await doors.patch(address, json={"model": "none", "reinit": True})
        assert (unknown.status_code, unknown.json()["errors"][0]["code"]) == (422, "unknown_model")
        before = (await doors.get(address)).headers["etag"]
        changed = await doors.patch(address, json={"model": "tiny", "reinit": True})
        assert (changed.status_code, changed.json()["model"]) == (200, "tiny")
        assert changed.headers["etag"] != before
        event = await talk.hear_of("event")
        data = {"model": "tiny", "restarted": ["t0"], "removed": []}
        assert (event["kind"], event["data"]) == ("model_changed", data)
        result = await talk.ask(DRAWING.jpeg(3), "result")
        assert (result["targets"][0]["id"], result["targets"][0]["state"]) == ("t0", "tracking")
        counts = {item["id"]: item["sessions"] for item in (await doors.get("/v1/models")).json()["items"]}
        assert counts == {"dummy": 0, "tiny": 1}
        update = {"type": "session.update", "op": "back", "model": None, "reinit": True}
        assert (await talk.ask(update, "ack"))["ok"]
        assert (await doors.get(address)).json()["model"] == "dummy"


async def test_a_damaged_package_is_refused_with_the_reason_and_disturbs_nobody(
    admin: RunningServer, doors: httpx.AsyncClient, packages: Path, tiny_graphs: TinyGraphs
) -> None:
    package = write_tiny(packages / "tiny", tiny_graphs)
    async with streaming(admin, FIRST, mode="every") as talk:
        undisturbed = await boxes(talk, 0, 6)
    async with streaming(admin, FIRST, mode="every") as talk:
        found = await boxes(talk, 0, 3)
        damage(package)
        answer = await doors.post("/v1/models", json={"id": "tiny", "default": True})
        assert found + await boxes(talk, 3, 6) == undisturbed
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "model_invalid")
    assert "search.onnx: has sha256" in answer.json()["detail"]
    assert await states(doors) == {"dummy": "ready"}
    write_package(package, "tiny", DUMMY_SPEC, {"template.onnx": b"no", "search.onnx": b"graph"}, {}, {})
    answer = await doors.post("/v1/models", json={"id": "tiny"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "model_invalid")


async def test_a_graph_that_does_not_fit_its_spec_is_refused_before_it_is_offered(
    doors: httpx.AsyncClient, packages: Path, tiny_graphs: TinyGraphs
) -> None:
    files: dict[str, Path | bytes] = {"template.onnx": tiny_graphs.search, "search.onnx": tiny_graphs.template}
    write_package(packages / "swapped", "swapped", DUMMY_SPEC, files, {}, {})
    answer = await doors.post("/v1/models", json={"id": "swapped"})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "model_invalid")
    assert await states(doors) == {"dummy": "ready"}


@pytest.mark.parametrize(
    "name", ["../outside", "{folder}/outside", "packages/../../outside", ".", "..", "/", "\0", "x"]
)
async def test_no_name_leads_out_of_the_folders(
    doors: httpx.AsyncClient, packages: Path, tiny_graphs: TinyGraphs, name: str
) -> None:
    write_tiny(packages.parent / "outside", tiny_graphs)
    answer = await doors.post("/v1/models", json={"id": name.format(folder=packages.parent)})
    assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "unknown_model")
    assert await states(doors) == {"dummy": "ready"}


@pytest.mark.parametrize("body", ["", "{}", '{"id":""}', '{"id":3}', '{"id":"dummy","path":"/"}', '{"id":"dummy",'])
async def test_bad_bodies_load_nothing(doors: httpx.AsyncClient, body: str) -> None:
    answer = await doors.post("/v1/models", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"] == "application/problem+json"


async def test_the_default_changes_with_a_load_and_only_then_can_be_retired(
    admin: RunningServer, doors: httpx.AsyncClient, packages: Path, tiny_graphs: TinyGraphs
) -> None:
    write_tiny(packages / "tiny", tiny_graphs)
    answer = await doors.delete("/v1/models/dummy")
    assert (answer.status_code, answer.json()["code"]) == (409, "model-is-default")
    assert (await load(doors, "tiny", default=True))["default"]
    async with streaming(admin, FIRST) as talk:
        assert talk.welcome["model"]["id"] == "tiny"
    assert (await doors.delete("/v1/models/dummy")).status_code == 202
    assert (await load(doors, "dummy"))["default"] is False


async def test_without_the_setting_nobody_loads_or_retires_over_the_network(
    server: RunningServer, http: httpx.AsyncClient
) -> None:
    for answer in (await http.post("/v1/models", json={"id": "dummy"}), await http.delete("/v1/models/dummy")):
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
        assert "models.admin" in answer.json()["detail"]
    assert (await http.get("/v1/models")).json()["items"][0]["state"] == "ready"
    assert json.dumps(server.app.openapi())


async def test_a_page_of_another_site_loads_nothing(doors: httpx.AsyncClient) -> None:
    headers = {"origin": "https://evil.example"}
    for answer in (
        await doors.post("/v1/models", json={"id": "dummy"}, headers=headers),
        await doors.delete("/v1/models/dummy", headers=headers),
    ):
        assert (answer.status_code, answer.json()["code"]) == (403, "origin-not-allowed")
