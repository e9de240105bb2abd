"""The other servers of the store: what each has room for, and where clients reach it.

Every server puts up a notice of itself every two seconds. What is read here is old by that much, and only ever a hint:
whoever is sent to another server by it may be sent on, and who has a session is decided by its lease alone."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from time import perf_counter

import msgspec
import structlog

from service.engine.registry import Registry
from service.engine.snapshots import VERSION
from service.store.port import SessionStore, StoreAway

STREAM_PATH = "/v1/stream"
BEAT_S = 2.0
LIVES_S = 5.0
"""A server that was not heard of for so long is no more sent anybody."""

_log = structlog.get_logger("lockon.fleet")


def session_path(session_id: str) -> str:
    """Where the session's sockets are opened, on any server."""
    return f"/v1/sessions/{session_id}/stream"


@dataclass(frozen=True, slots=True)
class Notice:
    """What a server says of itself; fields of later versions are skipped, those of earlier ones may be missing.

    `address` goes before the paths of the API, `room` counts the sessions that it would take, and `snapshots` is the
    version of those that it reads."""

    address: str
    room: int = 0
    version: str = ""
    snapshots: int = 1


class Fleet:
    """The others, as far as there is a store. Everything here runs on the event loop's thread."""

    def __init__(self, store: SessionStore | None, registry: Registry, version: str) -> None:
        self._store = store
        self._registry = registry
        self._version = version
        self._others: dict[str, Notice] = {}
        self._heard_s = float("-inf")
        self._hurry = asyncio.Event()

    async def run(self) -> None:
        """Tells and asks until cancelled."""
        while self._store is not None:
            began_s, failed = perf_counter(), True
            with suppress(StoreAway):  # the keeper tells of that, and asks for it
                self._hear(await self._store.announce(self._notice(), LIVES_S))
                failed = False
            self._registry.metrics.store_op("announce", perf_counter() - began_s, failed=failed)
            self._hurry.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._hurry.wait()

    def hurry(self) -> None:
        """What the notice says has changed: it is renewed at once, or taken down where the server is about to stop."""
        self._hurry.set()

    def address_of(self, node: str) -> str | None:
        """Where clients reach that server, if it is there."""
        other = self._present().get(node)
        return other.address if other is not None else None

    def roomier(self) -> tuple[str, str] | None:
        """A server that has room for a session, and its address: of two that are taken at random the one with more."""
        having = self._having()
        if not having:
            return None
        node, best = max(random.sample(having, min(2, len(having))), key=lambda item: item[1].room)
        # Until it is heard of again: the next one may have to go elsewhere.
        self._others[node] = replace(best, room=best.room - 1)
        return node, best.address

    @property
    def has_room(self) -> bool:
        """Whether any other server has room for a session."""
        return bool(self._having())

    def _having(self) -> list[tuple[str, Notice]]:
        return [item for item in self._present().items() if item[1].room > 0 and item[1].snapshots == VERSION]

    def _present(self) -> Mapping[str, Notice]:
        return self._others if perf_counter() - self._heard_s < LIVES_S else {}

    def _notice(self) -> bytes | None:
        registry = self._registry
        if registry.draining or not registry.address:
            return None
        return msgspec.json.encode(Notice(registry.address, registry.room, self._version, VERSION))

    def _hear(self, notices: Mapping[str, bytes]) -> None:
        others: dict[str, Notice] = {}
        for node, notice in notices.items():
            with suppress(msgspec.MsgspecError):  # of a version that says it otherwise
                others[node] = msgspec.json.decode(notice, type=Notice)
        for node in others.keys() - self._others.keys():
            _log.info("another server is there", kind="peer_joined", node=node, peer=others[node].address)
        for node in self._others.keys() - others.keys():
            _log.info("another server is gone", kind="peer_left", node=node, peer=self._others[node].address)
        self._others, self._heard_s = others, perf_counter()
