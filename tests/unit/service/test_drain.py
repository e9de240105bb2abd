"""A server that stops asks its clients to leave one after another."""

from __future__ import annotations

import pytest

from service.engine.drain import Drain
from service.engine.fleet import Fleet
from service.engine.outbox import Outbox
from service.engine.registry import Draining, Registry
from service.engine.resume import Resumption
from service.protocol.messages import CreateRequest
from tests.unit.service.serving import new_registry

registry = pytest.fixture(new_registry)


async def test_clients_are_asked_to_leave_spread_over_the_window_and_waited_for_until_the_end(
    registry: Registry,
) -> None:
    sessions = [registry.create(CreateRequest()) for _ in range(10)]
    outboxes = [Outbox(8) for _ in sessions]
    for session, outbox in zip(sessions, outboxes, strict=True):
        session.attach(outbox, 0.0)
    fleet = Fleet(None, registry, "1")
    drain = Drain(registry, Resumption(registry, fleet), fleet, 10.0)
    drain.begin(0.0)
    with pytest.raises(Draining):
        registry.check_stays()
    asked = []
    for now_s in (0.9, 1.0, 2.9, 4.9, 6.0):
        assert not drain.go_on(now_s)
        asked.append(sum(len(outbox) for outbox in outboxes))
    assert asked == [0, 1, 5, 10, 10]
    message = await outboxes[0].get()
    assert isinstance(message, dict)
    assert (message["reason"], message["resume_token"]) == ("draining", None)
    for session in sessions:
        session.detach(6.0)
    assert drain.go_on(6.0)


async def test_whoever_stays_is_not_waited_for_beyond_the_limit(registry: Registry) -> None:
    registry.create(CreateRequest()).attach(Outbox(8), 0.0)
    fleet = Fleet(None, registry, "1")
    drain = Drain(registry, Resumption(registry, fleet), fleet, 10.0)
    drain.begin(0.0)
    assert not drain.go_on(9.9)
    assert drain.go_on(10.0)
