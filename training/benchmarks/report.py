"""What a benchmark's scores look like: tables for a terminal, JSON, and the curves as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from training.benchmarks import curves
from training.benchmarks.scoring import DEFINITIONS, BenchmarkScores, Metrics

_COUNTS = ("frames", "sequences", "failures")
_CURVES = ("success", "precision", "normalized")
_AXES = {
    "success": ("IoU threshold", curves.PYSOT_SUCCESS, "pysot.success"),
    "precision": ("centre error, px", curves.PRECISION, "pysot.precision"),
    "normalized": ("centre error / size of the target", curves.NORMALIZED, "pysot.normalized"),
}


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture of curves: a title, its axis and, for each tracker, the shares and the score in the legend."""

    name: str
    axis: str
    thresholds: Sequence[float]
    shares: Mapping[str, Sequence[float]]
    scores: Mapping[str, float]


def tracker_names(folders: Sequence[Path]) -> list[str]:
    """What trackers are called whose results lie in these different folders: the first, which is judged, by its
    folder's name, each other one by as much of its path as tells it from all the others."""
    return [folders[0].name, *(_told_apart(folder, folders) for folder in folders[1:])]


def _told_apart(folder: Path, folders: Sequence[Path]) -> str:
    depths = range(1, len(folder.parts) + 1)
    ends = ({each.parts[-depth:] for each in folders if each != folder} for depth in depths)
    depth = next(depth for depth, taken in zip(depths, ends, strict=True) if folder.parts[-depth:] not in taken)
    return Path(*folder.parts[-depth:]).as_posix()


def overall_table(title: str, listed: Sequence[BenchmarkScores]) -> Table:
    """One row for each metric, one column for each tracker."""
    table = _table(title, "metric", [scores.tracker for scores in listed])
    for name in listed[0].overall:
        table.add_row(name, *(shown(name, scores.overall.get(name)) for scores in listed))
    return table


def part_table(scores: BenchmarkScores, first: str, parts: Mapping[str, Metrics]) -> Table:
    """One row for each sequence or attribute, with the metrics of the toolkit that ranks; JSON has the others."""
    toolkit = scores.headline.partition(".")[0]
    every = dict.fromkeys(name for metrics in parts.values() for name in metrics)
    names = [name for name in every if name.partition(".")[0] in (toolkit, *_COUNTS)]
    title = f"{scores.tracker}, by {first} ({toolkit}'s definitions)"
    table = _table(title, first, [name.rpartition(".")[2] for name in names])
    for part, metrics in parts.items():
        table.add_row(part, *(shown(name, metrics.get(name)) for name in names))
    return table


def to_json(benchmark: str, split: str, listed: Sequence[BenchmarkScores]) -> dict[str, Any]:
    """Every number, by tracker."""
    used = {name for scores in listed for name in scores.overall}
    return {
        "benchmark": benchmark,
        "split": split,
        "trackers": {scores.tracker: _scores_json(scores) for scores in listed},
        "definitions": {name: text for name, text in DEFINITIONS.items() if name in used},
    }


def plots_of(listed: Sequence[BenchmarkScores]) -> list[Plot]:
    """The curves that the trackers have: success, precision and normalised precision, or GOT-10k's success."""
    plots = []
    for name in _CURVES:
        axis, thresholds, metric = _AXES[name]
        shares = {each.tracker: getattr(each.curves, name).tolist() for each in listed if each.curves is not None}
        if shares:
            plots.append(Plot(name, axis, thresholds.tolist(), shares, {e.tracker: e.overall[metric] for e in listed}))
    if pooled := {each.tracker: each.success_101 for each in listed if each.success_101 is not None}:
        scores = {each.tracker: each.overall["got10k.ao"] for each in listed}
        plots.append(Plot("success", "IoU threshold", curves.AO_SUCCESS.tolist(), pooled, scores))
    return plots


def draw_plot(plot: Plot, path: Path) -> None:
    """Draws it to a PNG, the best tracker first in the legend. Needs matplotlib."""
    # The object-oriented interface: no display is looked for, and nothing global is changed.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4.5), dpi=120, layout="tight")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # The score comes first in a label: one that begins with "_", as a name may, is left out of the legend.
    for tracker in sorted(plot.shares, key=lambda name: -plot.scores[name]):
        axes.plot(plot.thresholds, plot.shares[tracker], label=f"{plot.scores[tracker]:.3f} {tracker}")
    axes.set(xlabel=plot.axis, ylabel="share of frames", title=plot.name, ylim=(0, 1))
    axes.set_xlim(min(plot.thresholds), max(plot.thresholds))
    axes.grid(visible=True, alpha=0.4)
    for text in axes.legend().get_texts():
        text.set_parse_math(False)
    figure.savefig(path)


def _scores_json(scores: BenchmarkScores) -> dict[str, Any]:
    data: dict[str, Any] = {
        "headline": scores.headline,
        "overall": scores.overall,
        "sequences": scores.sequences,
        "attributes": scores.attributes,
    }
    if scores.curves is not None:
        data["curves"] = {name: _listed(getattr(scores.curves, name)) for name in _CURVES}
    if scores.success_101 is not None:
        data["curves"] = {"success_101": scores.success_101}
    return data


def _listed(values: np.ndarray[Any, Any] | None) -> list[float] | None:
    return None if values is None else values.tolist()


def shown(name: str, value: float | None) -> str:
    """A metric's value: counts whole, others with as many digits as differ from run to run."""
    if value is None:
        return "-"
    if name in _COUNTS:
        return f"{value:.0f}"
    return f"{value:.1f}" if name == "fps" else f"{value:.4f}"


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column(first)
    for column in columns:
        table.add_column(column, justify="right")
    return table
