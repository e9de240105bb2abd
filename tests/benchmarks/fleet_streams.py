"""Streams through a fleet, and what each of them noticed: gaps, sockets, boxes, results of epochs that were over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import lockon_client
from lockon_client import Interrupted, LineEvent, LockonError, Resumed
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from models.package import load_tracker
from service.engine.decoding import HostDecoder
from service.protocol.header import Flag, FrameHeader, Kind, read_frame
from tests.drawing import Drawing

SILENCE_S = 3.0
RETRY_S = 0.25
Corner = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """A drawn sequence: its files, and where the tracker finds the target in each when nothing disturbs it."""

    files: Sequence[bytes]
    boxes: Sequence[Corner]

    @classmethod
    def drawn(cls, seed: int, count: int) -> Recording:
        """With the boxes that the dummy tracker gives without any server."""
        drawing = Drawing(seed=seed, speed_x=1.0, speed_y=0.5)
        files = list(drawing.jpegs(count))
        pictures = [HostDecoder().decode(read_frame(file, -1, 10**7, 0.0)) for file in files]
        tracker = load_tracker("dummy")
        target = tracker.start(pictures[0], drawing.box(0))
        boxes = [drawing.box(0).xywh(), *(tracker.follow(target, picture).box.xywh() for picture in pictures[1:])]
        return cls(files, boxes)

    async def paced(self, fps: float, began_s: float) -> AsyncIterator[bytes]:
        """The files as they are due; those that are late come at once."""
        for i, file in enumerate(self.files):
            await asyncio.sleep(max(0.0, began_s + i / fps - perf_counter()))
            yield file


@dataclass(slots=True)
class Noticed:
    """What a stream has seen. Times in seconds of `perf_counter`; `off_px` is how far boxes were from those of an
    undisturbed run, `after` the index of the first one that came after the line was broken last."""

    at_s: list[float] = field(default_factory=list)
    seqs: list[int] = field(default_factory=list)
    off_px: list[float] = field(default_factory=list)
    events: list[LineEvent] = field(default_factory=list)
    sessions: set[str] = field(default_factory=set)
    after: int = 0
    stale: int = 0
    failure: str | None = None
    _noted: int = 0

    @property
    def hit(self) -> bool:
        """Whether its line was broken."""
        return bool(self.events)

    @property
    def resumed(self) -> bool:
        """Whether every break was followed by the same session on another socket."""
        pairs = len(self.events) % 2 == 0 and all(isinstance(event, Resumed) for event in self.events[1::2])
        return pairs and self.failure is None and len(self.sessions) == 1

    @property
    def gap_s(self) -> float:
        """The longest time between two results."""
        return max((later - earlier for earlier, later in zip(self.at_s, self.at_s[1:], strict=False)), default=0.0)

    @property
    def break_s(self) -> float:
        """The time between the last result of the broken line and the first one of the next."""
        return self.at_s[self.after] - self.at_s[self.after - 1]

    def take(self, recording: Recording, seq: int, box: Corner) -> None:
        """A result."""
        self.at_s.append(perf_counter())
        self.seqs.append(seq)
        if len(self.events) > self._noted:
            self._noted, self.after = len(self.events), len(self.off_px)
        expected = recording.boxes[seq - 1]
        self.off_px.append(max(abs(here - there) for here, there in zip(box, expected, strict=True)))


async def follow(url: str, recording: Recording, fps: float, began_s: float) -> Noticed:
    """One stream of the Python client's, each of whose frames counts."""
    noticed = Noticed()
    targets = {"cup": recording.boxes[0]}
    try:
        async with lockon_client.track(
            url, targets=targets, every=True, resume_s=60, on_event=noticed.events.append
        ) as t:
            async for result in t.results(recording.paced(fps, began_s)):
                noticed.sessions.add(t.welcome.session)
                noticed.take(recording, result.seq, tuple(result.targets[0].box))
    except LockonError as error:
        noticed.failure = str(error)
    return noticed


class Clinging:
    """A stream that closes no socket of its own: when it hears nothing for three seconds it resumes on a further one,
    goes on sending its frames on all of them, and counts results of an epoch below the newest."""

    def __init__(self, url: str, recording: Recording, fps: float, began_s: float) -> None:
        self._url, self._recording, self._fps, self._began_s = url, recording, fps, began_s
        self.noticed = Noticed()
        self.codes: list[int] = []
        self._epoch = 0
        self._token: str | None = None
        self._sockets: list[ClientConnection] = []
        self._newest: ClientConnection | None = None
        self._heard_s = perf_counter()

    async def run(self) -> Noticed:
        """Until the recording is over."""
        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(self._greet({"create": self._create()}, group))]
            seq = 0
            async for file in self._recording.paced(self._fps, self._began_s):
                seq += 1
                header = FrameHeader(Kind.FULL, Flag.MUST_PROCESS, seq, 0, 0, 0, 0, 0, 0, 0).packed()
                for socket in list(self._sockets):
                    with suppress(ConnectionClosed, TimeoutError):
                        async with asyncio.timeout(0.05):
                            await socket.send(header + file)
                if perf_counter() - self._heard_s > SILENCE_S and readers[-1].done():
                    resume = {"token": self._token, "last_seq": self.noticed.seqs[-1], "epoch": self._epoch}
                    readers.append(group.create_task(self._greet({"resume": resume}, group)))
            for socket in self._sockets:
                group.create_task(socket.close())
        return self.noticed

    def _create(self) -> dict[str, Any]:
        return {"targets": [{"id": "cup", "box": self._recording.boxes[0]}], "detached_ttl_s": 60}

    async def _greet(self, greeting: dict[str, Any], group: asyncio.TaskGroup) -> None:
        """Opens a socket, and tries again until it is welcome."""
        url = f"{self._url}/v1/stream"
        while True:
            with suppress(OSError, InvalidHandshake, ConnectionClosed, TimeoutError):
                socket = await connect(url, max_size=None, open_timeout=SILENCE_S, ping_interval=None)
                await socket.send(json.dumps({"type": "hello", **greeting}))
                welcome = json.loads(await socket.recv())
                if welcome["type"] == "welcome":
                    break
            await asyncio.sleep(RETRY_S)
        if "resume" in greeting:
            reason = LockonError("nothing was heard")
            self.noticed.events += [Interrupted(reason), Resumed(welcome["epoch"], perf_counter() - self._heard_s, 1)]
        self._epoch, self._token = max(self._epoch, welcome["epoch"]), welcome["resume_token"]
        self.noticed.sessions.add(welcome["session"])
        self._sockets.append(socket)
        self._heard_s = perf_counter()
        group.create_task(self._read(socket))

    async def _read(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            async for text in socket:
                message = json.loads(text)
                if message["type"] != "result":
                    continue
                self.noticed.stale += message["epoch"] < self._epoch
                if message["epoch"] == self._epoch:
                    self._heard_s = perf_counter()
                    self.noticed.take(self._recording, message["seq"], tuple(message["targets"][0]["box"]))
        self._sockets.remove(socket)
        if socket.close_code is not None:
            self.codes.append(socket.close_code)
