"""Who calls: the answer of an authenticator, and the port that authenticators obey."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class Scope(StrEnum):
    """What a caller may do."""

    SESSIONS = "sessions:write"
    STREAM = "stream"
    MODELS = "models:read"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Principal:
    """An authenticated caller. `owner` is whose its sessions are: keys of one client have the same.

    `key` is the API key's public id; `expires_s` the end of a token, in seconds of Unix time."""

    owner: str
    scopes: frozenset[Scope]
    key: str | None = None
    expires_s: float | None = None


ANYBODY = Principal("", frozenset(Scope))
"""Everybody, where no credentials are needed."""


class Unauthenticated(Exception):
    """Credentials are missing or no good. The message is safe to show, and says no more than the caller knows."""


class Authenticator(Protocol):
    """Tells callers by what stands behind `Bearer` in their requests."""

    async def principal(self, bearer: str) -> Principal | None:
        """Who that is; None if these are credentials of another kind. Raises Unauthenticated."""

    def stands(self, principal: Principal) -> bool:
        """Whether someone whom this authenticator let in may still be here."""


def unexpired(principal: Principal) -> bool:
    """Whether the caller's token, if it is one, is still good."""
    return principal.expires_s is None or time.time() < principal.expires_s
