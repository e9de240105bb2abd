"""More frames than can be worked off. A runtime that waits for the test makes every count certain."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence

import httpx
import pytest

from models.package import load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.kinds import Precision
from models.tracker import Tracker
from tests.drawing import Drawing
from tests.end_to_end.conftest import MUST, TIMEOUT_S, RunningServer, StartServer, Talk, streaming, with_header

DRAWING = Drawing()
FIRST = list(DRAWING.box(0).xywh())


class GatedRuntime:
    """Obeys the port; every search waits until the gate is open."""

    name = "gated"
    device = "cpu"
    precision = Precision.F32

    def __init__(self) -> None:
        self._inner = load_tracker("dummy").runtime
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def template(self, crops: ByteArray) -> list[Features]:
        return self._inner.template(crops)

    def joined(self, templates: Sequence[Features]) -> Features:
        return self._inner.joined(templates)

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        self.entered.set()
        assert self.gate.wait(TIMEOUT_S)
        return self._inner.search(features, crops, size, loop)


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
