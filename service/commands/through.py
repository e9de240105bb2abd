"""A running server as a tracker of evaluations: every frame goes through its socket, none is dropped."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from multiprocessing.util import Finalize
from queue import Queue

import cv2
import lockon_client

from models.geometry import Box, Size
from models.presence import State
from models.runtimes.base import ByteArray
from models.target import check_box
from training.evaluation.ope import Answer

PNG_FLAGS = (cv2.IMWRITE_PNG_COMPRESSION, 1)
"""Frames travel without loss, so that the server sees the very pixels that an evaluation in this process sees."""


class ThroughFailed(RuntimeError):
    """The server cannot be reached, or refuses; the message says why."""


class ServiceTracker:
    """A `SequenceTracker` whose answers come from a server. `model` is one of the server's names, None its default.

    The session is opened with the second frame: only then is it known how many of them make a second, which the server
    counts the time of an absence in."""

    def __init__(self, url: str, model: str | None) -> None:
        self._url, self._model = url, model
        self._first: tuple[bytes, Box] | None = None
        self._session: _Session | None = None
        # Nobody tells a tracker that its last sequence has ended. Worker processes run no atexit functions, but these.
        Finalize(None, self.close, exitpriority=1)

    def start(self, frame: ByteArray, box: Box) -> None:
        """A new target; the session of the one before is closed. Raises TargetInvalid for a box that the server would
        refuse with the second frame."""
        self.close()
        check_box(box, Size(frame.shape[1], frame.shape[0]))
        self._first = (_png(frame), box)

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """What the server says of the next frame."""
        assert self._first is not None, "start comes first"
        if self._session is None:
            self._session = _Session(self._url, self._model, self._first[1], 1 / time_s)
            self._session.answer(self._first[0])
        return self._session.answer(_png(frame))

    def close(self) -> None:
        """Ends the session, if one is open; again is no error."""
        if self._session is not None:
            self._session.close()
            self._session = None


class _Session:
    """One stream, in a thread with an event loop of its own, that is given frames one by one."""

    def __init__(self, url: str, model: str | None, box: Box, fps: float) -> None:
        self._loop = asyncio.new_event_loop()
        self._frames: asyncio.Queue[bytes | None] = asyncio.Queue(2)
        self._answers: Queue[Answer | Exception] = Queue(1)
        self._thread = threading.Thread(target=self._run, args=(url, model, box, fps), daemon=True)
        self._thread.start()

    def answer(self, image: bytes) -> Answer:
        """The result of this frame; raises what has ended the stream."""
        self._hand_over(image)
        answer = self._answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        """Lets the stream end in good order."""
        self._hand_over(None)
        self._thread.join()

    def _hand_over(self, image: bytes | None) -> None:
        # Two places: the frame that a stream has failed with may lie there still. One that has ended takes nothing.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._frames.put_nowait, image)

    def _run(self, url: str, model: str | None, box: Box, fps: float) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            try:
                runner.run(self._stream(url, model, box, fps))
            except lockon_client.LockonError as error:
                self._answers.put(ThroughFailed(f"{url}: {error}"))
            except Exception as error:  # nothing is above this thread, and the answer is waited for
                self._answers.put(error)

    async def _stream(self, url: str, model: str | None, box: Box, fps: float) -> None:
        # A session made anew starts from the last boxes: what comes after is no longer the tracker's own doing.
        async with lockon_client.track(
            url, box.xywh(), model=model, every=True, fps=fps, reinit_on_loss=False
        ) as stream:
            async for result in stream.results(self._taken()):
                (target,) = result.targets
                found = Box(*target.box)
                self._answers.put(Answer(found, target.score, State(target.state)))

    async def _taken(self) -> AsyncIterator[bytes]:
        while (image := await self._frames.get()) is not None:
            yield image


def _png(frame: ByteArray) -> bytes:
    done, content = cv2.imencode(".png", frame, PNG_FLAGS)
    assert done, "any frame can be a PNG"
    return content.tobytes()


def served_model(url: str, model: str | None) -> str:
    """The name of the model that a session at this server gets; raises ThroughFailed where it gets none."""

    async def asked() -> str:
        async with lockon_client.track(url, model=model, every=True, resume_s=0) as stream:
            return stream.welcome.model

    try:
        return asyncio.run(asked())
    except lockon_client.LockonError as error:
        raise ThroughFailed(f"{url}: {error}") from error


def open_service(url: str, model: str | None) -> ServiceTracker:
    """The tracker, for processes that each need one."""
    return ServiceTracker(url, model)
