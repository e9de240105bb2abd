"""Sessions beside each other: each gets what it would get alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from models.package import load_tracker
from models.runtimes.base import Best, ByteArray, Features, FloatArray
from models.runtimes.kinds import Precision
from models.tracker import Tracker
from tests.drawing import Drawing, jpeg
from tests.end_to_end.conftest import RunningServer, StartServer, streaming

FRAMES = 12
SESSIONS = 8


async def _boxes(server: RunningServer, drawing: Drawing) -> list[list[float]]:
    first = list(drawing.box(0).xywh())
    async with streaming(server, first, mode="every") as talk:
        boxes = []
        for image in drawing.jpegs(FRAMES):
            result = await talk.ask(image, "result")
            boxes.append(result["targets"][0]["box"])
    return boxes


async def test_eight_sessions_at_once_equal_the_same_eight_alone(server: RunningServer) -> None:
    drawings = [Drawing(seed=seed, speed_x=2 + seed % 4, side=32 + 2 * seed) for seed in range(SESSIONS)]
    alone = [await _boxes(server, drawing) for drawing in drawings]
    together = await asyncio.gather(*(_boxes(server, drawing) for drawing in drawings))
    assert np.array(together) == pytest.approx(np.array(alone), abs=1e-3)
    assert len({tuple(boxes[-1]) for boxes in alone}) == SESSIONS


class FailingRuntime:
    """Obeys the port, but fails for crops whose middle is white."""

    name = "failing"
    device = "cpu"
    precision = Precision.F32

    def __init__(self) -> None:
        self._inner = load_tracker("dummy").runtime

    def template(self, crops: ByteArray) -> list[Features]:
        return self._inner.template(crops)

    def joined(self, templates: Sequence[Features]) -> Features:
        return self._inner.joined(templates)

    def search(self, features: Sequence[Features], crops: ByteArray, size: FloatArray, loop: FloatArray) -> Best:
        middle = crops.shape[1] // 2
        if (crops[:, middle - 2 : middle + 2, middle - 2 : middle + 2] > 250).all(axis=(1, 2, 3)).any():
            raise RuntimeError("the graph does not like white")
        return self._inner.search(features, crops, size, loop)


async def test_a_frame_that_breaks_the_runtime_costs_its_own_session_one_error(start_server: StartServer) -> None:
    spec = load_tracker("dummy").spec
    server = start_server(loader=lambda _name: Tracker(spec, FailingRuntime()))
    drawing = Drawing(speed_x=0, speed_y=0)
    first = list(drawing.box(0).xywh())
    white = np.full_like(drawing.frame(0), 255)

    async def other() -> list[str]:
        return [str(box) for box in await _boxes(server, Drawing(seed=3))]

    async def broken() -> list[dict[str, Any]]:
        async with streaming(server, first, mode="every") as talk:
            await talk.ask(drawing.jpeg(0), "result")
            answers = [await talk.ask(jpeg(white), "error") for _ in range(3)]
            return [*answers, await talk.ask(drawing.jpeg(1), "result")]

    quiet = await other()
    answers, beside = await asyncio.gather(broken(), other())
    assert [answer.get("code") for answer in answers] == ["internal", "internal", "internal", None]
    assert answers[-1]["targets"][0]["state"] == "tracking"
    assert beside == quiet
