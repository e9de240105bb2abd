"""When a client tries to open its next socket."""

from __future__ import annotations

import pytest
from lockon_client.retrying import FIRST_DELAY_S, LONGEST_DELAY_S, Retries


def tried_at(window_s: float, wait_s: float | None = None) -> list[float]:
    """Seconds from the break to each try, where every one fails at once."""
    tries, now_s, found = Retries(100.0, window_s), 100.0, []
    while not tries.is_last:
        now_s += tries.delay_s(now_s, wait_s)
        found.append(now_s - 100.0)
    assert tries.made == len(found)
    return found


@pytest.mark.parametrize("window_s", [0.0, 1.0, 30.0, 3600.0])
@pytest.mark.parametrize("wait_s", [None, 5.0, 7200.0])
def test_the_last_try_is_made_at_the_end_of_the_time_in_which_the_session_can_be_resumed(
    window_s: float, wait_s: float | None
) -> None:
    for _ in range(20):
        *_, last_s = tried_at(window_s, wait_s)
        assert 0.9 * window_s <= last_s + 1e-9
        assert last_s <= window_s + 1e-9


def test_delays_grow_to_the_longest_and_are_at_least_what_the_server_asks_for() -> None:
    tries = Retries(0.0, 1e6)
    assert tries.delay_s(0.0, None) <= FIRST_DELAY_S
    assert tries.delay_s(0.0, None) <= 2 * FIRST_DELAY_S
    assert all(tries.delay_s(0.0, None) <= LONGEST_DELAY_S for _ in range(20))
    assert 8.0 <= tries.delay_s(0.0, 8.0) <= 10.0
    assert tries.delay_s(0.0, 0.0) == 0.0
