"""A server that has no file descriptors left: nobody new comes in, and those who are in do not notice."""

from __future__ import annotations

import asyncio
import resource
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import WebSocketException

from tests.drawing import Drawing
from tests.end_to_end.conftest import TIMEOUT_S, Talk
from tests.end_to_end.processes import ServerProcess

DRAWING = Drawing()
NEWCOMERS = 12
LEFT = 3


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts descriptors in /proc")
async def test_those_who_are_in_go_on_and_others_come_in_when_there_is_room_again(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "log").ready()
    try:
        async with AsyncExitStack() as stack:
            talk = Talk(await stack.enter_async_context(connect(f"{server.ws}/v1/stream")))
            targets = [{"id": "a", "box": list(DRAWING.box(0).xywh())}]
            await talk.ask({"type": "hello", "create": {"targets": targets}}, "welcome")
            await talk.ask(DRAWING.jpeg(0), "result")
            open_now = _descriptors(server.pid)
            soft, hard = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (open_now + LEFT, hard))
            newcomers = [asyncio.open_connection("127.0.0.1", server.port) for _ in range(NEWCOMERS)]
            tried = await asyncio.gather(*newcomers, return_exceptions=True)
            for index in range(1, 6):
                answer = await talk.ask(DRAWING.jpeg(index), "result")
                assert answer["targets"][0]["state"] == "tracking"
            for one in tried:
                if not isinstance(one, BaseException):
                    one[1].close()
            resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (soft, hard))
            async with asyncio.timeout(TIMEOUT_S):
                while not await _comes_in(server):
                    pass
            assert (await talk.ask(DRAWING.jpeg(6), "result"))["targets"][0]["state"] == "tracking"
    finally:
        server.end()


async def _comes_in(server: ServerProcess) -> bool:
    """Whether a new socket is taken."""
    try:
        async with connect(f"{server.ws}/v1/stream", open_timeout=1):
            return True
    except (OSError, WebSocketException):
        return False


def _descriptors(pid: int) -> int:
    """How many a process has open."""
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
