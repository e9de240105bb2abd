"""What a benchmark's report makes of names and numbers."""

from __future__ import annotations

from pathlib import Path

from training.benchmarks.page import write_page
from training.benchmarks.report import Plot, draw_plot, shown, tracker_names
from training.benchmarks.scoring import BenchmarkScores


def test_trackers_of_one_name_are_told_apart_by_their_paths() -> None:
    folders = ("/mine/otb/results/light", "/theirs/otb/results/light", "/kcf", "/theirs/vot/results/light", "/light")
    assert tracker_names([Path(each) for each in folders]) == [
        "light",
        "theirs/otb/results/light",
        "kcf",
        "vot/results/light",
        "/light",
    ]


def test_a_legend_has_every_name_as_it_is(tmp_path: Path) -> None:
    names = ("_mine", r"a$\frac$")
    plot = Plot("success", "IoU", (0.0, 1.0), dict.fromkeys(names, (1.0, 0.0)), dict.fromkeys(names, 0.5))
    draw_plot(plot, tmp_path / "success.svg")
    drawn = (tmp_path / "success.svg").read_text()
    assert all(f"<!-- 0.500 {name} -->" in drawn for name in names)


def test_counts_are_whole_and_scores_have_four_decimals(tmp_path: Path) -> None:
    numbers = {"got10k.ao": 0.63987, "frames": 123456.0, "fps": 123.46}
    scores = BenchmarkScores("mine", "got10k.ao", numbers, {"a": numbers})
    assert [shown(name, value) for name, value in numbers.items()] == ["0.6399", "123456", "123.5"]
    write_page(tmp_path / "page.html", "mine", [scores], [], {})
    page = (tmp_path / "page.html").read_text()
    for value in ("0.6399", "123456", "123.5"):
        assert page.count(f"<td>{value}</td>") == 2, "overall and by sequence"
