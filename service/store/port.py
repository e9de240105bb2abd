"""The port of a session store: one record a session, with an epoch that only grows and a lease that runs out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class StoreAway(Exception):
    """The store does not answer in time, or refuses; nothing is known of what it did."""


class LeaseHeld(Exception):
    """The server `node` has the session, for `left_s` seconds at least."""

    def __init__(self, node: str, left_s: float) -> None:
        super().__init__(f"another server has this session; its lease ends in {left_s:.1f} s")
        self.node = node
        self.left_s = left_s


class RecordGone(Exception):
    """The store has nothing of a session that was to be renewed: it was emptied, and wants a snapshot."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A session that is ours now, in `epoch`; `before` is the epoch that the store knew, `snapshot` what was saved."""

    epoch: int
    before: int
    snapshot: bytes | None


class SessionStore(Protocol):
    """Every call ends within the store's deadline, and raises StoreAway where it has no answer. `node` is this server's
    name, like no other's; `owner` a digest of a session's owner: to all others the session is not there."""

    node: str

    async def acquire(self, session: str, owner: str, above: int, lease_s: float, ttl_s: float) -> Lease | None:
        """Takes the session's lease, in an epoch above that one and all earlier ones. None: it is not there.

        Raises LeaseHeld."""

    async def save(
        self, session: str, owner: str, epoch: int, snapshot: bytes | None, lease_s: float, ttl_s: float
    ) -> bool:
        """Saves the session and renews our lease, or gives it back with `lease_s` 0; without a snapshot the old one
        stays, with `ttl_s` 0 the time that it is kept. False, and nothing is changed, if another server has it in that
        epoch or a later one. Raises RecordGone where there is no old one."""

    async def place(self, session: str, owner: str, node: str, snapshot: bytes, ttl_s: float) -> None:
        """Saves a session that has had no socket yet and that the server `node` is to have; nobody has its lease."""

    async def home(self, session: str, owner: str) -> str | None:
        """The server that had the session last, whether or not its lease is good; None: it is not there."""

    async def delete(self, session: str, epoch: int) -> None:
        """Forgets the session unless another server has it in that epoch or a later one."""

    async def announce(self, notice: bytes | None, lives_s: float) -> dict[str, bytes]:
        """Puts our notice up for all servers to see, for so long, or takes it down; returns those of the others."""

    async def ping(self) -> None:
        """Asks whether the store is there."""

    async def close(self) -> None:
        """The end of all connections."""
