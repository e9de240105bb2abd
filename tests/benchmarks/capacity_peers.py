"""What Lockon is compared with: a loop of `cv2.imdecode` and a tracker, without any network in between.

Each runs in a process of its own and is told what to do over a pipe.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from time import perf_counter, process_time, sleep
from typing import Protocol

import cv2
import numpy as np

from models.geometry import Box
from tests.benchmarks.streams import Film


class Loop(Protocol):
    """One target in one stream."""

    def start(self, frame: np.ndarray, box: Box) -> None:
        """The first frame."""

    def follow(self, frame: np.ndarray, time_s: float) -> object:
        """Each later one."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What frames took, in CPU milliseconds each."""

    frames: int
    decode_ms: float
    track_ms: float


@dataclass(frozen=True, slots=True)
class Kept:
    """What became of a stream: frames that came, ages in ms of those that were answered."""

    sent: int
    ages_ms: list[float]


def opencv_nano(folder: Path) -> Callable[[], Loop]:
    """OpenCV's TrackerNano with the ONNX pair in that folder."""
    from training.evaluation.opencv_trackers import Peer, peer_factory

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return peer_factory(Peer.NANO, folder)


def torch_eager(package: Path) -> Callable[[], Loop]:
    """A model's network as torch runs it, in our own loop."""
    import torch
    from safetensors.torch import load_file

    from models.networks.build import build
    from models.package import WEIGHTS, find_package
    from models.runtimes.torch import TorchRuntime
    from models.tracker import Tracker
    from training.evaluation.ope import ModelTracker

    torch.set_num_threads(1)
    found = find_package(str(package))
    network = build(found.spec)
    network.load_state_dict(load_file(found.file(WEIGHTS)))
    tracker = Tracker(found.spec, TorchRuntime.of(network, found.spec))
    return lambda: ModelTracker(tracker)


class PeerProcess:
    """A process that follows one target in each of some films."""

    def __init__(self, kind: Callable[[Path], Callable[[], Loop]], folder: Path, films: Sequence[Film]) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        self._process = context.Process(target=_work, args=(other, kind, folder, list(films)), daemon=True)
        self._process.start()
        # Held by the child alone, it ends with the child, and who waits here is told.
        other.close()
        assert self._pipe.recv() == "ready"

    def spend(self, frames: int) -> Spent:
        """Follows so many frames of each film, one film after the other at each frame."""
        self._pipe.send(("spend", frames))
        spent: Spent = self._pipe.recv()
        return spent

    def begin(self, began_s: float, seconds: float, fps: float) -> None:
        """Follows the first film as it comes from a camera, its first frame at `began_s` of the monotonic clock."""
        self._pipe.send(("keep", began_s, seconds, fps))

    def kept(self) -> Kept:
        """What became of that."""
        kept: Kept = self._pipe.recv()
        return kept

    def stop(self) -> None:
        """Ends the process."""
        self._pipe.send(None)
        self._process.join()


def _work(pipe: Connection, kind: Callable[[Path], Callable[[], Loop]], folder: Path, films: Sequence[Film]) -> None:
    cv2.setNumThreads(1)
    made = kind(folder)
    loops = [made() for _ in films]
    for loop, film in zip(loops, films, strict=True):
        loop.start(_decoded(film.files[0]), film.box)
        loop.follow(_decoded(film.files[0]), 0.0)
    pipe.send("ready")
    at = 0
    while (order := pipe.recv()) is not None:
        if order[0] == "spend":
            pipe.send(_spent(loops, films, at, order[1]))
            at += order[1]
        else:
            pipe.send(_kept(loops[0], films[0], *order[1:]))


def _spent(loops: Sequence[Loop], films: Sequence[Film], at: int, frames: int) -> Spent:
    decode_s = track_s = 0.0
    for index in range(at + 1, at + 1 + frames):
        for loop, film in zip(loops, films, strict=True):
            began = process_time()
            frame = _decoded(film.files[index % len(film.files)])
            decoded = process_time()
            loop.follow(frame, index / 30)
            decode_s += decoded - began
            track_s += process_time() - decoded
    count = frames * len(loops)
    return Spent(count, decode_s / count * 1e3, track_s / count * 1e3)


def _kept(loop: Loop, film: Film, began_s: float, seconds: float, fps: float) -> Kept:
    """The newest frame is taken whenever there is one, as Lockon does."""
    ages_ms: list[float] = []
    count, taken = round(seconds * fps), -1
    while taken < count - 1:
        newest = min(count - 1, int((perf_counter() - began_s) * fps))
        if newest <= taken:
            sleep(max(0.0, began_s + (taken + 1) / fps - perf_counter()))
            continue
        taken = newest
        loop.follow(_decoded(film.files[taken % len(film.files)]), taken / fps)
        ages_ms.append((perf_counter() - began_s - taken / fps) * 1e3)
    return Kept(count, ages_ms)


def _decoded(file: bytes) -> np.ndarray:
    frame = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
    assert frame is not None
    return frame
