"""Real pictures over a real socket: what a stream gives is what the tracker gives offline, alone or beside others."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from models.geometry import Box
from models.package import ZOO, load_tracker
from service.engine.decoding import HostDecoder
from service.protocol.header import read_frame
from tests.end_to_end.conftest import RunningServer, StartServer, streaming

FRAMES = 15
SESSIONS = 8
MODELS = ["dummy", *(["siamfcpp_light"] if (ZOO / "siamfcpp_light" / "model.json").is_file() else [])]

pytestmark = pytest.mark.shared


@dataclass(frozen=True)
class Sequence:
    """The first files of a sequence and the target's box in the first one."""

    files: list[bytes]
    box: list[float]


@pytest.fixture(scope="module")
def sequences(shared: Path) -> list[Sequence]:
    folders = sorted(path.parent for path in (shared / "data" / "eval").glob("*/groundtruth.txt"))[:SESSIONS]
    assert len(folders) == SESSIONS
    return [
        Sequence(
            [path.read_bytes() for path in sorted((folder / "img").glob("*.jpg"))[:FRAMES]],
            np.loadtxt(folder / "groundtruth.txt", delimiter=",", ndmin=2)[0].tolist(),
        )
        for folder in folders
    ]


async def _streamed(server: RunningServer, sequence: Sequence) -> list[list[float]]:
    async with streaming(server, sequence.box, mode="every") as talk:
        return [(await talk.ask(file, "result"))["targets"][0]["box"] for file in sequence.files]


def _offline(model: str, sequence: Sequence) -> list[tuple[float, ...]]:
    tracker, decoder = load_tracker(model), HostDecoder()
    first, *others = (decoder.decode(read_frame(file, -1, 10**8, 0.0)) for file in sequence.files)
    box = Box(*sequence.box)
    target = tracker.start(first, box)
    return [box.xywh(), *(tracker.follow(target, picture).box.xywh() for picture in others)]


@pytest.mark.parametrize("model", MODELS)
async def test_eight_streams_at_once_equal_the_offline_tracker_on_each_sequence(
    start_server: StartServer, sequences: list[Sequence], model: str
) -> None:
    server = start_server({"models": {"default": model, "precision": "f32"}, "engine": {"workers": 2}})
    together = await asyncio.gather(*(_streamed(server, sequence) for sequence in sequences))
    for sequence, boxes in zip(sequences, together, strict=True):
        assert np.array(boxes) == pytest.approx(np.array(_offline(model, sequence)), abs=1e-3)
