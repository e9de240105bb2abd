"""States of a target: each way from one to another, and what may move meanwhile."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.presence import (
    Presence,
    Sight,
    State,
    advance,
    advance_long_term,
    frame_duration,
    in_doubt,
    reacquire_score,
)
from models.spec import LostSearch, PresenceSpec

SPEC = PresenceSpec(
    lost=0.2,
    fallen=0.0,
    leave=0.4,
    enter=0.6,
    reacquire=0.8,
    lost_after_s=0.12,
    reacquire_after=2,
    search=LostSearch.STAY,
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
        ([0.9, 0.1, 0.1, 0.5, 0.1, 0.1, 0.1], "tuuuull"),
        ([0.9, 0.1, 0.5, 0.5, 0.1, 0.1, 0.1], "tuuuuul"),
        ([0.1, 0.1, 0.1, 0.7, 0.7], "uulll"),
        ([0.1, 0.1, 0.1, 0.8, 0.7, 0.8, 0.8, 0.5], "uullllrt"),
        ([0.1, 0.1, 0.1, 0.9, 0.9, 0.1, 0.1, 0.1], "uullruul"),
    ],
)
def test_scores_lead_to_states(scores: list[float], expected: str) -> None:
    assert states(scores) == [LETTERS[letter] for letter in expected]


def test_one_low_frame_loses_the_target_where_the_spec_says_so() -> None:
    spec = PresenceSpec(
        lost=0.2,
        fallen=0.0,
        leave=0.4,
        enter=0.6,
        reacquire=0.8,
        lost_after_s=0.04,
        reacquire_after=1,
        search=LostSearch.STAY,
    )
    assert states([0.9, 0.1, 0.9, 0.9], spec) == [State.TRACKING, State.LOST, State.REACQUIRED, State.TRACKING]


@given(st.lists(st.floats(0, 1), max_size=60))
def test_reacquired_follows_lost_only_and_lasts_one_frame(scores: list[float]) -> None:
    for before, after in itertools.pairwise([State.INITIALIZING, *states(scores)]):
        assert after is not State.INITIALIZING
        assert (after is State.REACQUIRED) <= (before is State.LOST)
        assert (before is State.LOST) <= (after in (State.LOST, State.REACQUIRED))


@pytest.mark.parametrize(("fps", "frames"), [(60, 36), (25, 15), (10, 6), (5, 3), (1, 3)])
def test_a_target_is_lost_after_a_time_whatever_the_frame_rate_but_never_by_a_look_or_two(
    fps: float, frames: int
) -> None:
    spec = replace(SPEC, lost_after_s=0.6)
    presence, before_s = Presence(State.TRACKING), 0.0
    for _ in range(frames):
        assert presence.state is not State.LOST
        presence = advance(presence, 0.1, spec, frame_duration(before_s, before_s + 1 / fps))
        before_s += 1 / fps
    assert presence.state is State.LOST


@pytest.mark.parametrize(
    ("before_s", "now_s", "expected"),
    [(None, None, 0.04), (None, 7.0, 0.04), (7.0, None, 0.04), (7.0, 7.1, 0.1), (7.0, 90.0, 0.2), (7.0, 6.0, 0.04)],
)
def test_a_frame_counts_for_the_time_since_the_one_before_unless_the_clock_says_nothing_or_jumps(
    before_s: float | None, now_s: float | None, expected: float
) -> None:
    assert frame_duration(before_s, now_s) == pytest.approx(expected)


RELATIVE = replace(SPEC, lost=0.1, fallen=0.5, leave=0.2, enter=0.3, lost_after_s=0.4)


def test_a_score_that_falls_at_once_is_low_and_one_that_falls_slowly_is_the_targets_own() -> None:
    assert states([0.9] * 9 + [0.4] * 10, RELATIVE)[-2:] == [State.UNCERTAIN, State.LOST]
    assert State.LOST not in states([0.9 * 0.95**index for index in range(40)], RELATIVE)


def test_a_target_that_scored_little_comes_back_at_less_but_never_below_enter() -> None:
    found = [reacquire_score(Presence(State.LOST, usual=usual), RELATIVE) for usual in (0.1, 0.6, 1.0)]
    assert found == pytest.approx([0.3, 0.42, 0.7])
    assert reacquire_score(Presence(State.LOST, usual=1.0), replace(RELATIVE, reacquire=0.6)) == 0.6
    assert reacquire_score(Presence(State.LOST, usual=0.1), SPEC) == SPEC.reacquire


def test_a_target_found_elsewhere_has_to_score_more() -> None:
    lost = Presence(State.LOST, usual=0.5)
    spec = replace(RELATIVE, reacquire_after=1)
    assert advance(lost, 0.6, spec).state is State.REACQUIRED
    assert advance(lost, 0.6, spec, sight=Sight(at_home=False)).state is State.LOST
    assert advance(lost, 0.8, spec, sight=Sight(at_home=False)).state is State.REACQUIRED


def test_candidates_that_do_not_agree_begin_anew() -> None:
    presence = Presence(State.LOST)
    found = []
    for agrees in (True, False, False, True):
        presence = advance(presence, 0.9, SPEC, sight=Sight(agrees=agrees))
        found.append(presence.state)
    assert found == [State.LOST, State.LOST, State.LOST, State.REACQUIRED]


def test_what_was_only_partly_seen_is_at_best_uncertain_and_brings_no_target_back() -> None:
    lost = Presence(State.LOST, low_s=1.0, high=1, looks=5)
    assert in_doubt(lost, advance(lost, 0.9, SPEC)) == replace(lost, high=0, looks=6)
    tracked = Presence(State.TRACKING)
    assert in_doubt(tracked, advance(tracked, 0.9, SPEC)).state is State.UNCERTAIN


def test_a_long_term_tracker_says_itself_what_is_lost() -> None:
    presence = Presence()
    found = []
    for lost, score in ((False, 0.9), (False, 0.3), (True, 0.9), (True, 0.9), (False, 0.9), (False, 0.5)):
        presence = advance_long_term(presence, lost, score, SPEC)
        found.append(presence.state)
    tracking, uncertain, gone, again = State.TRACKING, State.UNCERTAIN, State.LOST, State.REACQUIRED
    assert found == [tracking, uncertain, gone, gone, again, tracking]
