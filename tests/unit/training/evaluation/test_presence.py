"""Figures of presence, on sequences short enough to count by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from models.presence import State
from training.evaluation.presence import Absence, PresenceRecord, presence_figures, recorded

FPS = 2.0
LETTERS = {"i": State.INITIALIZING, "t": State.TRACKING, "u": State.UNCERTAIN, "l": State.LOST, "r": State.REACQUIRED}
BOX, WRONG = (10.0, 10.0, 20.0, 20.0), (60.0, 60.0, 20.0, 20.0)


def record(states: str, truth: str, boxes: str | None = None) -> PresenceRecord:
    """`truth`: x where the target is there; `boxes`: x on the target, o beside it."""
    places = [BOX if letter == "x" else WRONG for letter in boxes or "x" * len(states)]
    true = [BOX if letter == "x" else (math.nan,) * 4 for letter in truth]
    return recorded([LETTERS[letter] for letter in states], np.array(places), np.array(true), FPS)


def figures(*records: PresenceRecord) -> dict[str, Any]:
    return presence_figures(records)


def test_lost_is_judged_frame_by_frame() -> None:
    shown = figures(record("ittulllllt", "xxxx....xx"))
    assert (shown["lost_frames"], shown["absent_frames"]) == (5, 4)
    assert (shown["lost_precision"], shown["lost_recall"]) == (0.8, 1.0)


def test_times_run_from_the_disappearance_and_from_the_return() -> None:
    assert record("ittuullllrt", "xxx.....xxx").absences == (Absence(lost_after_s=1.0, found_after_s=0.5),)
    assert record("ittuuuuuutt", "xxx......xx", "xxxooooooox").absences == (Absence(math.inf, 0.5),)
    assert record("ittll", "xx...").absences == (Absence(0.5, None),)


def test_an_absence_that_begins_while_the_target_is_lost_has_no_time_to_lost() -> None:
    assert record("itllllr", "xxx...x").absences == (Absence(None, 0.0),)


def test_short_absences_count_frame_by_frame_only() -> None:
    shown = figures(record("ittt", "xx.x"))
    assert (shown["absent_frames"], shown["absences"]) == (1, 0)


def test_a_loss_is_false_if_the_target_is_there_and_was_under_the_box() -> None:
    assert record("ittlltll", "xxxxxxxx").false_losses == 2
    assert record("ittl", "xxxx", "xxox").false_losses == 0
    assert record("ittl", "xxx.").false_losses == 0


def test_a_wrong_lock_is_a_claim_of_more_than_a_second_to_track_something_else() -> None:
    assert record("itttttt", "xxxxxxx", "xxooooo").wrong_locks == 1
    assert record("itttttt", "xx.....").wrong_locks == 1
    assert record("itttttt", "xxxxxxx", "xxxooxx").wrong_locks == 0
    assert record("ituuuuu", "xxxxxxx", "xxooooo").wrong_locks == 0


def test_reacquired_is_right_if_it_has_the_target() -> None:
    shown = figures(record("ittllr", "xx...x"), record("ittllr", "xx...x", "xxxxxo"))
    assert (shown["reacquired"], shown["reacquired_precision"]) == (2, 0.5)


def test_records_are_joined_over_sequences_of_different_rates() -> None:
    shown = figures(record("ittllrt", "xx...xx"), record("ittttttt", "xx...xxx", "xxooooox"))
    assert shown["sequences"] == 2
    assert shown["frames"] == 13
    assert shown["returns"] == 2
    assert shown["found"] == 2
    assert shown["time_to_lost_median"] == 0.5
    assert shown["time_to_lost_p95"] == math.inf
    assert shown["wrong_locks_per_hour"] == pytest.approx(3600 / 6.5)


def test_the_f_score_is_perfect_for_the_right_box_and_the_right_states() -> None:
    assert figures(record("ittlllrt", "xxx...xx"))["f_score"] == 1
    assert figures(record("itttttt", "xxx...x"))["f_score"] == pytest.approx(2 * 0.5 / 1.5)


def test_figures_of_nothing_are_none() -> None:
    shown = figures()
    assert shown["frames"] == 0
    assert {shown[key] for key in ("lost_precision", "lost_recall", "time_to_lost_median", "f_score")} == {None}
