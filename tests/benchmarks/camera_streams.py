"""Streams of a camera each, to a Lockon server over `wire`: one frame in flight each, or 30 frames a second each."""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from time import perf_counter
from typing import Any

import orjson
from lockon_client.protocol import encode_frame
from lockon_client.windows import Placement, image_size

from tests.benchmarks.films import HEIGHT, WIDTH, Shots
from tests.benchmarks.wire import Wire, cpu_between, percentile, threads_cpu_s

STAGES = ("decode", "prep", "infer", "post")


@dataclass(slots=True)
class Answered:
    """What became of the frames of some streams. Ages in ms; `sent` counts frames, `missed` those not sent in time."""

    sent: int = 0
    bytes: int = 0
    windows: int = 0
    ages_ms: list[float] = field(default_factory=list)
    stages_ms: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in STAGES})
    states: dict[str, int] = field(default_factory=dict)

    @property
    def share(self) -> float:
        """Answers per frame sent."""
        return len(self.ages_ms) / max(1, self.sent)

    @property
    def p99_ms(self) -> float:
        """99th percentile of the ages."""
        return percentile(self.ages_ms, 0.99)

    def stage_ms(self, stage: str) -> float:
        """Mean time of a stage."""
        return fmean(self.stages_ms[stage]) if self.stages_ms[stage] else float("nan")


class CameraStream:
    """One session that follows its film's target, or `boxes`; with `windows` it sends what it was asked for last, at
    the Python client's scale."""

    def __init__(
        self,
        address: tuple[str, int],
        model: str,
        shots: Shots,
        *,
        windows: bool,
        boxes: Sequence[Sequence[float]] = (),
        cadence: int | None = None,
    ) -> None:
        self.wire = Wire(*address, path="/v1/stream")
        self._shots = shots
        self._windows = windows
        self._asked: Placement | None = None
        self._seq = 0
        self._due_s: dict[int, float] = {}
        self.answers = 0
        self.came_s: list[float] = []
        targets = [{"box": list(box)} for box in boxes or [shots.film.box.xywh()]]
        # No deadline: those who send one frame at a time wait for each answer, however many others do so.
        create = {"model": model, "targets": targets, "cadence": cadence, "deadline_ms": None}
        self.wire.say({"type": "hello", "create": create})
        welcome = orjson.loads(self.wire.hear())
        assert welcome["type"] == "welcome", welcome

    def send(self, due_s: float, answered: Answered) -> None:
        """The next frame, which was there at `due_s`."""
        index = self._seq % len(self._shots.film.files)
        self._seq += 1
        self._due_s[self._seq] = due_s
        asked = self._asked
        file = self._shots.film.files[index] if asked is None else self._shots.cut(index, asked)
        self.wire.send(encode_frame(b"", self._seq, int(due_s * 1e6), must_process=False, placement=asked), file)
        answered.sent += 1
        answered.bytes += len(file)
        answered.windows += asked is not None

    def take(self, message: bytes, answered: Answered) -> bool:
        """Notes a message; True if it is the answer to a frame."""
        result = orjson.loads(message)
        if result["type"] != "result":
            assert result["type"] in ("event", "credit"), result
            return False
        self.answers += 1
        self.came_s.append(perf_counter())
        due_s = self._due_s.pop(result["seq"])
        self._due_s = {seq: due for seq, due in self._due_s.items() if seq > result["seq"]}
        answered.ages_ms.append((perf_counter() - due_s) * 1e3)
        for stage in STAGES:
            answered.stages_ms[stage].append(result["timings"][stage])
        state = result["targets"][0]["state"]
        answered.states[state] = answered.states.get(state, 0) + 1
        self._asked = _asked(result["next"]) if self._windows else None
        return True


def _asked(following: Mapping[str, Any]) -> Placement | None:
    """The window to send, None for a whole frame."""
    if following["full"]:
        return None
    x, y, width, height = following["window"]
    return Placement(x, y, width, height, WIDTH, HEIGHT, *image_size(width, height, following["max_scale"]))


def closed_loop(streams: Sequence[CameraStream], frames: int) -> Answered:
    """So many frames of each stream, each sent when the one before it is answered."""
    answered = Answered()
    with selectors.DefaultSelector() as selector:
        left = dict.fromkeys(streams, frames)
        for stream in streams:
            selector.register(stream.wire, selectors.EVENT_READ, stream)
            stream.send(perf_counter(), answered)
        while left:
            for key, _ in selector.select(30):
                stream = key.data
                for message in stream.wire.heard():
                    if not stream.take(message, answered):
                        continue
                    left[stream] -= 1
                    if left[stream]:
                        stream.send(perf_counter(), answered)
                    else:
                        del left[stream]
                        selector.unregister(stream.wire)
    return answered


def paced(streams: Sequence[CameraStream], seconds: float, fps: float) -> Answered:
    """Each stream at that rate, their frames evenly spread. Ages count from when a frame was due."""
    answered = Answered()
    began = perf_counter() + 0.05
    gap_s = 1 / fps / len(streams)
    total, sent = round(seconds * fps) * len(streams), 0
    end_s = began + seconds + 0.5
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream.wire, selectors.EVENT_READ, stream)
        while (now := perf_counter()) < end_s:
            due_s = began + sent * gap_s
            if sent < total and now >= due_s:
                streams[sent % len(streams)].send(due_s, answered)
                sent += 1
                continue
            until_s = due_s if sent < total else end_s
            for key, _ in selector.select(max(0.0, until_s - now)):
                for message in key.data.wire.heard():
                    key.data.take(message, answered)
    return answered


class LockonServer:
    """A server in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], address: tuple[str, int]) -> None:
        self.process = process
        self.address = address

    def streams(
        self,
        model: str,
        films: Sequence[Shots],
        count: int,
        *,
        windows: bool,
        boxes: Sequence[Sequence[float]] = (),
        cadence: int | None = None,
    ) -> list[CameraStream]:
        """So many new sessions of the model of that name or folder, the films in turn."""
        turns = [films[i % len(films)] for i in range(count)]
        name = Path(model).name
        return [
            CameraStream(self.address, name, shots, windows=windows, boxes=boxes, cadence=cadence) for shots in turns
        ]

    def cpu_s(self) -> dict[int, float]:
        """CPU time of its threads so far."""
        return threads_cpu_s(self.process.pid)

    def spent_s(self, before: Mapping[int, float]) -> tuple[float, float]:
        """CPU seconds since: the event loop's thread, and the workers."""
        return cpu_between(dict(before), self.cpu_s(), self.process.pid)


@contextmanager
def lockon_server(models: Sequence[str], settings: Mapping[str, str], prelude: str = "") -> Iterator[LockonServer]:
    """Serves these models; `settings` are environment variables, `prelude` is Python that runs before."""
    program = "from service.settings import load_settings\nfrom service.server import run\nrun(load_settings())"
    defaults = {
        "LOCKON_MODELS__DEFAULT": models[0],
        "LOCKON_MODELS__ALSO": orjson.dumps(list(models[1:])).decode(),
        "LOCKON_SERVER__PORT": "0",
        "LOCKON_SERVER__LOG_LEVEL": "warning",
        "LOCKON_LIMITS__MIN_FPS": "0",
        "LOCKON_LIMITS__MAX_SESSIONS": "4096",
        # Streams wait for their turn while others are measured.
        "LOCKON_LIMITS__IDLE_TIMEOUT_S": "3600",
    }
    command = [sys.executable, "-c", f"{prelude}\n{program}"]
    environment = os.environ | defaults | dict(settings)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "http://" in line, "the server did not start"
        host, _, port = line.rpartition("http://")[2].strip().rpartition(":")
        try:
            yield LockonServer(process, (host, int(port)))
        finally:
            process.terminate()
