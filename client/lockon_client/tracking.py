"""`track()`: a stream to a Lockon server as an asynchronous context manager."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from lockon_client import protocol
from lockon_client.connection import stream_url
from lockon_client.line_events import LineEvent
from lockon_client.link import Door, Link
from lockon_client.protocol import Thresholds
from lockon_client.stream import BoxLike, Track


@asynccontextmanager
async def track(
    url: str,
    box: BoxLike | None = None,
    *,
    targets: Mapping[str, BoxLike] | None = None,
    model: str | None = None,
    every: bool = False,
    fps: float | None = None,
    key: str | None = None,
    ticket: str | None = None,
    send_window: bool = False,
    cadence: int | None = None,
    thresholds: Thresholds | None = None,
    resume_s: int = 30,
    reinit_on_loss: bool = True,
    on_event: Callable[[LineEvent], None] | None = None,
    timeout_s: float = 10.0,
) -> AsyncIterator[Track]:
    """A stream on which targets are followed.

    `url` is the server (`ws://127.0.0.1:8000`) or the `stream_url` of a session made by REST. `box` is x, y, w, h
    of one target in the first frame; `targets` names several. `model` is one of the server's models, None its default.

    `every=False` is for cameras: the newest frame wins and the others are skipped, so that results are never old.
    `every=True` is for recordings: each frame gets its result. `fps` is how many of them made a second: a target that
    is gone counts as lost after a time; without it 25 is assumed. `timeout_s` bounds every wait for the server.

    `key` is an API key or a token, where the server asks for one; `ticket` a single-use ticket instead.

    `send_window=True` sends only the part of each frame that the tracker will look at, and whole frames whenever that
    will not do, with no more pixels than the network makes use of; `Track.saved_bytes` says what it saved. It needs
    arrays: compressed images are sent as they are.

    `cadence` lets the network look at one frame in so many at least, while a target is calm; `thresholds` says when one
    counts as lost, where the model's own will not do. What the server does not take is InvalidRequest.

    When the line breaks, or the server says that it stops, another one is opened and the session goes on, with the same
    targets and, with `every`, without a gap. `on_event` is told: `Interrupted`, then `Resumed`. The server keeps a
    session so long as `resume_s` says (of a session made by REST, as long as that was made to last); after that, or
    with 0 at once, StreamClosed is raised. With a `ticket` there is no second line: it is good for one.

    Where no server has the session any more, as after a crash, a new one takes its place and follows the targets from
    their last boxes, if these are less than a second old, or a recording's: `on_event` is told `StateLost`. With
    `reinit_on_loss=False` StreamClosed is raised instead. Sessions made by REST are not made anew.

    `on_event` is also told what the server says of the session, as `Event`: `rate_changed`, `degraded` and others.
    """
    if fps is not None and not (every and fps > 0):
        raise ValueError(f"fps={fps} is for recordings (every=True), and above 0")
    address = stream_url(url)
    requests = [protocol.target_request(wanted, target_id) for target_id, wanted in (targets or {}).items()]
    if box is not None:
        requests.append(protocol.target_request(box))
    makes_session = "/sessions/" not in address
    if requests and not makes_session:
        raise ValueError("this session exists already: open it without box and targets, then add() them")
    if not makes_session and (cadence is not None or thresholds is not None):
        raise ValueError("this session exists already: its cadence and thresholds are those that it was made with")
    create = None
    if makes_session:
        create = protocol.create_request(
            model, requests, every=every, resume_s=resume_s, cadence=cadence, thresholds=thresholds
        )
    link = Link(Door(address, timeout_s, key, ticket), on_event)
    await link.open(create, reinit_on_loss=reinit_on_loss)
    failure: Exception | None = None
    try:
        async with asyncio.TaskGroup() as group:
            stream = Track(link, group, every=every, fps=fps, send_window=send_window, timeout_s=timeout_s)
            try:
                yield stream
            except Exception as error:
                failure = error
            finally:
                stream.stop()
    finally:
        await link.close()
    if failure is not None:
        raise failure
