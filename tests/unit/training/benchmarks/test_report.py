"""What trackers are called in a benchmark's report."""

from __future__ import annotations

from pathlib import Path

from training.benchmarks.report import tracker_names


def test_trackers_of_one_name_are_told_apart_by_their_paths() -> None:
    folders = ("/mine/otb/results/light", "/theirs/otb/results/light", "/kcf", "/theirs/vot/results/light", "/light")
    assert tracker_names([Path(each) for each in folders]) == [
        "light",
        "theirs/otb/results/light",
        "kcf",
        "vot/results/light",
        "/light",
    ]
