"""States of a target: each way from one to another, and what may move meanwhile."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.presence import Presence, State, advance, advance_long_term
from models.spec import LostSearch, PresenceSpec

SPEC = PresenceSpec(
    lost=0.2, leave=0.4, enter=0.6, reacquire=0.8, lost_after=3, reacquire_after=2, search=LostSearch.STAY
)
LETTERS = {"t": State.TRACKING, "u": State.UNCERTAIN, "l": State.LOST, "r": State.REACQUIRED}


def states(scores: list[float], spec: PresenceSpec = SPEC) -> list[State]:
    presence = Presence()
    found = []
    for score in scores:
        presence = advance(presence, score, spec)
        found.append(presence.state)
    return found


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([0.9], "t"),
        ([0.6], "t"),
        ([0.5], "u"),
        ([0.1], "u"),
        ([0.5, 0.5, 0.5, 0.5, 0.6], "uuuut"),
        ([0.9, 0.4, 0.5], "ttt"),
        ([0.9, 0.39, 0.5, 0.59, 0.6], "tuuut"),
        ([0.9, 0.1, 0.1, 0.1], "tuul"),
        ([0.9, 0.3, 0.3, 0.3, 0.3], "tuuuu"),
        ([0.9, 0.1, 0.3, 0.1, 0.1, 0.1], "tuuuul"),
        ([0.9, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1], "tuuuuul"),
        ([0.1, 0.1, 0.1, 0.7, 0.7], "uulll"),
        ([0.1, 0.1, 0.1, 0.8, 0.7, 0.8, 0.8, 0.5], "uullllrt"),
        ([0.1, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1], "uullruul"),
    ],
)
def test_scores_lead_to_states(scores: list[float], expected: str) -> None:
    assert states(scores) == [LETTERS[letter] for letter in expected]


def test_one_low_frame_loses_the_target_where_the_spec_says_so() -> None:
    spec = PresenceSpec(
        lost=0.2, leave=0.4, enter=0.6, reacquire=0.8, lost_after=1, reacquire_after=1, search=LostSearch.STAY
    )
    assert states([0.9, 0.1, 0.9, 0.9], spec) == [State.TRACKING, State.LOST, State.REACQUIRED, State.TRACKING]


@given(st.lists(st.floats(0, 1), max_size=60))
def test_reacquired_follows_lost_only_and_lasts_one_frame(scores: list[float]) -> None:
    for before, after in itertools.pairwise([State.INITIALIZING, *states(scores)]):
        assert after is not State.INITIALIZING
        assert (after is State.REACQUIRED) <= (before is State.LOST)
        assert (before is State.LOST) <= (after in (State.LOST, State.REACQUIRED))


def test_a_long_term_tracker_says_itself_what_is_lost() -> None:
    presence = Presence()
    found = []
    for lost, score in ((False, 0.9), (False, 0.3), (True, 0.9), (True, 0.9), (False, 0.9), (False, 0.5)):
        presence = advance_long_term(presence, lost, score, SPEC)
        found.append(presence.state)
    tracking, uncertain, gone, again = State.TRACKING, State.UNCERTAIN, State.LOST, State.REACQUIRED
    assert found == [tracking, uncertain, gone, gone, again, tracking]
