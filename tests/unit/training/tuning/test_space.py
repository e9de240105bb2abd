"""Ranges and points."""

from __future__ import annotations

import re

import pytest

from models.runtimes.dummy import DUMMY_SPEC
from training.tuning.space import Constants, Range, Space, SpaceInvalid


def test_a_range_has_both_its_ends_and_short_numbers() -> None:
    assert Range.parsed("0.1:0.4:0.1").values == [0.1, 0.2, 0.3, 0.4]
    assert Range.parsed("0.05:0.2:0.1").values == [0.05, 0.15]
    assert Range.parsed("0.3").values == [0.3]


@pytest.mark.parametrize(
    "text", ["", "a", "1:2", "2:1:0.1", "0:1:0", "-1:1:1", "1:2:3:4", "inf", "nan", "0:inf:1", "0:1:nan", "0:1:1e-9"]
)
def test_what_is_no_range_is_named(text: str) -> None:
    with pytest.raises(SpaceInvalid, match="LOW:HIGH:STEP"):
        Range.parsed(text)


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("size_lr", "0:0.5:0.1", "size_lr must be in (0, 1]"),
        ("penalty_k", "0:2.5:0.5", "penalty_k must be in 0..2"),
        ("window_influence", "1.1", "window_influence must be in 0..1"),
    ],
)
def test_a_space_has_only_constants_that_a_model_can_have(name: str, text: str, rule: str) -> None:
    with pytest.raises(SpaceInvalid, match=re.escape(rule)):
        Space(**{name: Range.parsed(text)})


def test_the_grid_is_every_combination() -> None:
    space = Space(Range(0, 0.1, 0.1), Range(0.2, 0.4, 0.1), Range(0.3, 0.3, 1))
    points = list(space.points())
    assert len(set(points)) == 6
    assert Constants(0.1, 0.4, 0.3) in points
    assert points[0].name == "pk-0_wi-0.2_lr-0.3"
    assert all(map(space.holds, points))
    assert not space.holds(Constants(0.1, 0.25, 0.3))


def test_constants_change_the_loop_and_nothing_else() -> None:
    changed = Constants(0.3, 0.5, 0.7).applied(DUMMY_SPEC)
    assert Constants.of(changed.loop) == Constants(0.3, 0.5, 0.7)
    assert (changed.loop.min_size, changed.crop) == (DUMMY_SPEC.loop.min_size, DUMMY_SPEC.crop)
