"""Sequences with made absences."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.evaluation.absences import GAP, MARK, WALL, Kind, MadeClip, kind_of, made_clips, source_of
from training.evaluation.sequences import Sequence, read_sequences

from .conftest import DRAWING

FRAMES = 30


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> list[Sequence]:
    folder = tmp_path_factory.mktemp("films")
    DRAWING.write_sequence(folder / "a", FRAMES)
    replace(DRAWING, seed=3).write_sequence(folder / "b", FRAMES)
    DRAWING.write_sequence(folder / "gone", FRAMES, absent=(7,))
    return read_sequences(folder)


def made(films: list[Sequence], kind: Kind) -> MadeClip:
    return next(clip for clip in made_clips(films) if clip.name == f"a{MARK}{kind}")


def test_every_kind_is_made_of_each_sequence_without_absences_of_its_own(films: list[Sequence]) -> None:
    names = [clip.name for clip in made_clips(films)]
    assert names == [f"{name}{MARK}{kind}" for name in "ab" for kind in Kind]
    assert {source_of(name) for name in names} == {"a", "b"}
    assert {kind_of(name) for name in names} == set(Kind)
    assert made_clips(films[:1]) == []


@pytest.mark.parametrize("kind", Kind)
def test_frames_fit_the_truth_and_are_the_same_every_time(films: list[Sequence], kind: Kind) -> None:
    clip = made(films, kind)
    shown = [0, 9, 10, len(clip.truth) // 2, len(clip.truth) - 1]
    first, second = ([clip.frame(number) for number in shown] for _ in range(2))
    assert len({frame.shape for frame in first}) == 1
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))
    assert clip.first_box == films[0].first_box or kind is Kind.ELSEWHERE
    absent = np.asarray(np.isnan(clip.truth).any(axis=1), np.bool_)
    assert np.diff(absent.astype(int)).tolist().count(1) == 1, "one absence"
    assert not absent[0]
    assert not absent[-1]


def test_a_cut_shows_another_sequence_and_then_goes_on_where_it_was(films: list[Sequence]) -> None:
    clip, own = made(films, Kind.CUT), list(films[0].frames())
    np.testing.assert_array_equal(clip.frame(9), own[9])
    np.testing.assert_array_equal(clip.frame(10), next(films[1].frames()))
    np.testing.assert_array_equal(clip.frame(10 + GAP), own[10])
    assert len(list(clip.frames())) == len(clip.truth) == 10 + GAP + 50


def test_the_cover_hides_the_target_and_only_that(films: list[Sequence]) -> None:
    clip = made(films, Kind.COVERED)
    absent = np.asarray(np.isnan(clip.truth).any(axis=1), np.bool_)
    middle = int(np.flatnonzero(absent).mean())
    own, covered = list(films[0].frames())[middle], clip.frame(middle)
    x, y, w, h = map(int, films[0].truth[middle])
    assert (own[y : y + h, x : x + w] != covered[y : y + h, x : x + w]).any(axis=2).mean() > 0.9
    changed = np.argwhere((own != covered).any(axis=2))
    assert (changed.min(axis=0) >= (y - h / 2, x - w / 2)).all()
    assert (changed.max(axis=0) <= (y + 1.5 * h, x + 1.5 * w)).all()


def test_on_the_wall_the_target_goes_on_in_a_corner(films: list[Sequence]) -> None:
    clip, own = made(films, Kind.ELSEWHERE), list(films[0].frames())
    before, gone, back = (clip.frame(number) for number in (9, 10, 10 + GAP))
    height, width = own[0].shape[:2]
    assert before.shape == (WALL * height, WALL * width, 3)
    middle = np.s_[2 * height : 3 * height, 2 * width : 3 * width]
    np.testing.assert_array_equal(before[middle], own[9])
    np.testing.assert_array_equal(back[:height, :width], own[10])
    np.testing.assert_array_equal(clip.truth[10 + GAP], films[0].truth[10])
    assert not np.array_equal(gone[middle], own[10])
