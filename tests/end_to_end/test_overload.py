"""More frames than can be worked off. A runtime that waits for the test makes every count certain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from time import perf_counter

import httpx
import lockon_client
import pytest

from models.package import load_tracker
from models.tracker import Tracker
from tests.drawing import Drawing
from tests.end_to_end.conftest import MUST, TIMEOUT_S, RunningServer, StartServer, Talk, streaming, with_header
from tests.end_to_end.gated import GatedRuntime
from tests.waiting import until

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())


@pytest.fixture(scope="module")
def runtime() -> GatedRuntime:
    return GatedRuntime()


@pytest.fixture(scope="module")
def gated(start_server: StartServer, runtime: GatedRuntime) -> RunningServer:
    spec = load_tracker("dummy").spec
    return start_server({"engine": {"workers": 1}}, lambda _name: Tracker(spec, runtime))


@pytest.fixture(autouse=True)
async def gate_open_at_the_end(runtime: GatedRuntime) -> AsyncIterator[None]:
    yield
    runtime.gate.set()


async def _blocked(talk: Talk, runtime: GatedRuntime) -> None:
    """Sends frame 1 for the target and frame 2, at which the only worker then waits."""
    await talk.ask(DRAWING.jpeg(0), "result")
    runtime.gate.clear()
    runtime.entered.clear()
    await talk.say(DRAWING.jpeg(1))
    assert await asyncio.to_thread(runtime.entered.wait, TIMEOUT_S)


async def _counters(server: RunningServer, session: str) -> dict[str, int]:
    async with httpx.AsyncClient(base_url=server.http) as client:
        counters: dict[str, int] = (await client.get(f"/v1/sessions/{session}")).json()["counters"]
    assert counters["received"] == sum(counters[name] for name in ("processed", "dropped", "rejected", "waiting"))
    return counters


async def test_the_newest_frame_wins_and_the_others_are_counted(gated: RunningServer, runtime: GatedRuntime) -> None:
    async with streaming(gated, FIRST) as talk:
        await _blocked(talk, runtime)
        for index in range(2, 42):
            await talk.say(DRAWING.jpeg(index))
        await talk.ask({"type": "ping"}, "pong")  # the reader has taken all of them, although the worker waits
        assert (await _counters(gated, talk.welcome["session"]))["waiting"] == 2
        runtime.gate.set()
        results = [await talk.hear_of("result"), await talk.hear_of("result")]
        assert [(r["seq"], r["dropped_total"]) for r in results] == [(2, 39), (42, 39)]
        assert sum(r["dropped"] for r in results) == 39
        counters = await _counters(gated, talk.welcome["session"])
    assert (counters["processed"], counters["dropped_newer"], counters["waiting"]) == (3, 39, 0)


async def test_in_mode_every_frames_queue_up_instead(gated: RunningServer, runtime: GatedRuntime) -> None:
    """The control case: what the test above sees is the slot's doing, for a queue behaves otherwise."""
    async with streaming(gated, FIRST, mode="every") as talk:
        await _blocked(talk, runtime)
        for index in range(2, 10):
            await talk.say(DRAWING.jpeg(index))
        await talk.ask({"type": "ping"}, "pong")
        runtime.gate.set()
        results = [await talk.hear_of("result") for _ in range(9)]
    assert [r["seq"] for r in results] == list(range(2, 11))
    assert results[-1]["dropped_total"] == 0


async def test_a_full_must_queue_refuses_loudly(gated: RunningServer, runtime: GatedRuntime) -> None:
    async with streaming(gated, FIRST) as talk:
        await _blocked(talk, runtime)
        for seq in range(3, 23):
            await talk.say(with_header(DRAWING.jpeg(seq), seq, flags=MUST))
        refused = [await talk.hear_of("error") for _ in range(12)]
        runtime.gate.set()
        results = [await talk.hear_of("result") for _ in range(9)]
        counters = await _counters(gated, talk.welcome["session"])
    assert [(e["code"], e["fatal"], e["seq"]) for e in refused] == [
        ("must_queue_full", False, s) for s in range(11, 23)
    ]
    assert [r["seq"] for r in results] == list(range(2, 11))
    assert counters["dropped_capacity"] == 12


async def test_credit_is_halved_where_frames_replace_each_other(gated: RunningServer, runtime: GatedRuntime) -> None:
    async with streaming(gated, FIRST) as talk:
        assert talk.welcome["credit"] == {"frames": 4, "must": 4}
        await _blocked(talk, runtime)
        message = talk.welcome
        while message["type"] != "credit":
            await talk.say(DRAWING.jpeg(2))
            message = await talk.ask_any({"type": "ping"})
    assert message == {"type": "credit", "frames": 2, "must": 4}


@pytest.mark.parametrize("every", [False, True])
async def test_the_python_client_keeps_to_the_credit(
    gated: RunningServer, runtime: GatedRuntime, *, every: bool
) -> None:
    async def camera() -> AsyncIterator[bytes]:
        for index in range(40):
            yield DRAWING.jpeg(index)
            await asyncio.sleep(0)

    async with lockon_client.track(gated.ws, box=FIRST, every=every) as stream:
        runtime.gate.clear()
        results = stream.results(camera())
        await anext(results)  # that of the first frame, which is not searched
        session = gated.app.state.registry.find(stream.welcome.session)
        allowed = 8 if every else 4
        await until(lambda: session.counters.received == 1 + allowed)
        async with streaming(gated, FIRST):
            pass  # meanwhile more could come
        assert session.counters.received == 1 + allowed
        runtime.gate.set()
        seqs = [result.seq async for result in results]
    assert not every or seqs == list(range(2, 41))


async def test_a_frame_waits_for_max_fps_and_not_for_another_frame(gated: RunningServer, runtime: GatedRuntime) -> None:
    async with streaming(gated, FIRST, max_fps=20) as talk:
        assert talk.welcome["limits"]["max_fps"] == 20
        for index in range(3):
            await talk.say(DRAWING.jpeg(index))
        while (await talk.hear_of("result"))["seq"] < 3:
            pass
        update = {"type": "session.update", "op": "u", "max_fps": None, "label": "door"}
        assert (await talk.ask(update, "ack"))["ok"]
        async with httpx.AsyncClient(base_url=gated.http) as client:
            view = (await client.get(f"/v1/sessions/{talk.welcome['session']}")).json()
        assert (view["max_fps"], view["deadline_ms"], view["label"]) == (None, 500, "door")
        bad = {"type": "session.update", "op": "v", "max_fps": 1000}
        assert (await talk.ask(bad, "ack"))["pointer"] == "/max_fps"


async def test_a_frame_beyond_its_deadline_is_dropped_and_the_client_may_send_the_next_one(
    gated: RunningServer, runtime: GatedRuntime
) -> None:
    async with streaming(gated, FIRST, deadline_ms=20) as talk:
        await _blocked(talk, runtime)
        await talk.say(DRAWING.jpeg(2))
        session = gated.app.state.registry.find(talk.welcome["session"])
        await until(lambda: session.waiting == 2 and perf_counter() - session.last_frame_s > 0.02)
        runtime.gate.set()
        assert (await talk.hear_of("credit"))["done_seq"] == 3
        assert (await _counters(gated, session.id))["dropped_deadline"] == 1


async def test_a_target_removed_during_inference_is_left_out_of_the_result(
    gated: RunningServer, runtime: GatedRuntime
) -> None:
    async with streaming(gated, FIRST, FIRST) as talk:
        await _blocked(talk, runtime)
        assert (await talk.ask({"type": "target.remove", "op": "r", "id": "t0"}, "ack"))["ok"]
        runtime.gate.set()
        assert [t["id"] for t in (await talk.hear_of("result"))["targets"]] == ["t1"]


async def test_a_session_deleted_during_inference_closes_with_4410(gated: RunningServer, runtime: GatedRuntime) -> None:
    async with streaming(gated, FIRST) as talk:
        await _blocked(talk, runtime)
        async with httpx.AsyncClient(base_url=gated.http) as client:
            assert (await client.delete(f"/v1/sessions/{talk.welcome['session']}")).status_code == 204
        assert (await talk.hear_of("goaway"))["reason"] == "deleted"
        assert (await talk.close_code())[0] == 4410
    runtime.gate.set()
    async with streaming(gated, FIRST) as talk:
        assert (await talk.ask(DRAWING.jpeg(0), "result"))["seq"] == 1


async def test_a_box_is_started_on_its_own_frame_even_when_newer_ones_overtook_it(
    gated: RunningServer, runtime: GatedRuntime
) -> None:
    async with streaming(gated, FIRST) as talk:
        await _blocked(talk, runtime)
        box = list(DRAWING.box(2).xywh())
        await talk.say({"type": "target.add", "op": "a", "id": "late", "box": box})
        for index in range(2, 30):  # far more than the ring keeps
            await talk.say(DRAWING.jpeg(index))
        await talk.ask({"type": "ping"}, "pong")
        runtime.gate.set()
        ack = await talk.hear_of("ack")
        result = await talk.hear_of("result")
        while result["seq"] < 30:
            result = await talk.hear_of("result")
    assert (ack["ok"], ack["on_seq"], ack["caught_up"]) == (True, 3, 8)
    late = next(target for target in result["targets"] if target["id"] == "late")
    assert late["box"] == pytest.approx(DRAWING.box(29).xywh(), abs=3)
