"""Tickets: good once, for one thing, for a short time, and never more than a bounded number of them."""

from __future__ import annotations

import pytest

from service.protocol.requests import CreateRequest
from service.security.principals import Principal, Scope, Unauthenticated
from service.security.tickets import (
    MAX_PER_OWNER,
    TICKET_TTL_S,
    PinnedOtherwise,
    Ticket,
    Tickets,
    TooManyTickets,
    narrowed,
    pinned,
)

ALICE = Principal("client:alice", frozenset(Scope), key="aaaaaaaa")
BOB = Principal("client:bob", frozenset(Scope))


def test_a_ticket_is_good_once() -> None:
    tickets = Tickets()
    text = tickets.issue(Ticket(ALICE), 0.0)
    assert tickets.redeem(text, None, None, 1.0).principal is ALICE
    with pytest.raises(Unauthenticated):
        tickets.redeem(text, None, None, 1.0)
    assert len(tickets) == 0


def test_a_ticket_ends_by_itself() -> None:
    tickets = Tickets()
    text = tickets.issue(Ticket(ALICE), 0.0)
    with pytest.raises(Unauthenticated):
        tickets.redeem(text, None, None, TICKET_TTL_S)
    assert len(tickets) == 0


@pytest.mark.parametrize(
    ("ticket", "session", "origin"),
    [
        (Ticket(ALICE, session="ses_a"), "ses_b", None),
        (Ticket(ALICE, session="ses_a"), None, None),
        (Ticket(ALICE), "ses_a", None),
        (Ticket(ALICE, origin="https://a.example"), None, "https://b.example"),
        (Ticket(ALICE, origin="https://a.example"), None, None),
    ],
)
def test_a_ticket_for_something_else_is_refused_and_used_up(
    ticket: Ticket, session: str | None, origin: str | None
) -> None:
    tickets = Tickets()
    text = tickets.issue(ticket, 0.0)
    with pytest.raises(Unauthenticated):
        tickets.redeem(text, session, origin, 1.0)
    with pytest.raises(Unauthenticated):
        tickets.redeem(text, ticket.session, ticket.origin, 1.0)


def test_one_owner_has_a_bounded_number_of_tickets_and_takes_none_of_the_others() -> None:
    tickets = Tickets()
    for _ in range(MAX_PER_OWNER):
        tickets.issue(Ticket(ALICE), 0.0)
    with pytest.raises(TooManyTickets):
        tickets.issue(Ticket(ALICE), 1.0)
    tickets.issue(Ticket(BOB), 1.0)
    tickets.issue(Ticket(ALICE), TICKET_TTL_S)
    assert len(tickets) == 2


def test_the_holder_of_a_ticket_may_stream_and_nothing_else() -> None:
    holder = narrowed(ALICE)
    assert (holder.owner, holder.key, holder.scopes) == (ALICE.owner, ALICE.key, frozenset({Scope.STREAM}))


def test_what_a_ticket_says_stands_and_the_rest_is_free() -> None:
    ticket = CreateRequest(model="nano", detached_ttl_s=0)
    merged = pinned(ticket, CreateRequest(mode="every", model="nano"))
    assert (merged.model, merged.mode, merged.detached_ttl_s) == ("nano", "every", 0)
    with pytest.raises(PinnedOtherwise, match="model"):
        pinned(ticket, CreateRequest(model="large"))
