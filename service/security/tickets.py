"""Single-use tickets: what a browser opens its socket with, since it can set no headers there. In memory, bounded."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter, OrderedDict
from dataclasses import dataclass

from service.protocol.requests import CreateRequest
from service.security.principals import Principal, Scope, Unauthenticated

TICKET_TTL_S = 30.0
MAX_PER_OWNER = 64


class TooManyTickets(RuntimeError):
    """An owner has as many unused tickets as are allowed."""


class PinnedOtherwise(ValueError):
    """The session that is asked for differs from the ticket's in the field `name`."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the ticket says otherwise of {name}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket stands for. It opens the session of that id, or without one a new session as `create` says.

    `origin` is the one page that may use it; None for every page that may open sockets at all."""

    principal: Principal
    session: str | None = None
    create: CreateRequest | None = None
    origin: str | None = None


class Tickets:
    """The tickets that were issued and not used. Times in seconds of the monotonic clock."""

    def __init__(self) -> None:
        self._tickets: OrderedDict[bytes, tuple[float, Ticket]] = OrderedDict()
        self._held: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._tickets)

    def issue(self, ticket: Ticket, now_s: float) -> str:
        """256 random bits in base64url; raises TooManyTickets."""
        self._forget_old(now_s)
        owner = ticket.principal.owner
        if self._held[owner] >= MAX_PER_OWNER:
            raise TooManyTickets(f"{MAX_PER_OWNER} tickets wait to be used")
        text = secrets.token_urlsafe(32)
        self._tickets[_digest(text)] = (now_s + TICKET_TTL_S, ticket)
        self._held[owner] += 1
        return text

    def redeem(self, text: str, session: str | None, origin: str | None, now_s: float) -> Ticket:
        """What the ticket stands for, which is used up by that even if it was meant for something else.

        `session` is the one whose socket is opened, None on /v1/stream. Raises Unauthenticated."""
        self._forget_old(now_s)
        # By the digest: how long a dictionary takes to miss tells nothing of the tickets themselves.
        entry = self._tickets.pop(_digest(text), None)
        if entry is None:
            raise Unauthenticated("this ticket was used before, has expired, or never existed")
        ticket = entry[1]
        self._let_go(ticket)
        if ticket.session != session or (ticket.origin is not None and ticket.origin != origin):
            raise Unauthenticated("this ticket is for another session or another page")
        return ticket

    def _forget_old(self, now_s: float) -> None:
        while self._tickets and next(iter(self._tickets.values()))[0] <= now_s:
            self._let_go(self._tickets.popitem(last=False)[1][1])

    def _let_go(self, ticket: Ticket) -> None:
        owner = ticket.principal.owner
        self._held[owner] -= 1
        if not self._held[owner]:
            del self._held[owner]


def narrowed(principal: Principal) -> Principal:
    """The caller as the holder of its ticket: good for streams alone."""
    return Principal(principal.owner, frozenset({Scope.STREAM}), principal.key, principal.expires_s)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def pinned(ticket: CreateRequest, asked: CreateRequest) -> CreateRequest:
    """What is asked for with what the ticket says; raises PinnedOtherwise where the two say different things."""
    for name in sorted(ticket.model_fields_set & asked.model_fields_set):
        if getattr(ticket, name) != getattr(asked, name):
            raise PinnedOtherwise(name)
    return asked.model_copy(update={name: getattr(ticket, name) for name in ticket.model_fields_set})
