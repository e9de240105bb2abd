"""The report of a run: curves, what was judged, and the configuration, as one page with a picture beside it."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from training.judging import read_scores
from training.progress import read_log
from training.recipe import Recipe

PAGE, CURVES = "report.html", "curves.png"
_CURVES = (
    ("loss", ("total", "score", "box", "centreness")),
    ("IoU", ("iou",)),
    ("learning rate", ("rate",)),
    ("gradient norm", ("gradient_norm",)),
    ("pairs / s", ("pairs_per_s",)),
    ("share of the time spent waiting for data", ("data_wait",)),
)
_JUDGED = ("epoch", "step", "auc", "precision20", "normalized_precision", "ao", "sr50", "frames_per_s", "best")


def write_report(out: Path, recipe: Recipe) -> Path:
    """Writes `report.html` and `curves.png` into the run's folder from its log; returns the page's path."""
    log, judged = read_log(out), read_scores(out)
    _draw(out / CURVES, log, judged)
    last = log[-1] if log else {}
    page = out / PAGE
    page.write_text(
        "\n".join(
            [
                "<!doctype html><html lang=en><meta charset=utf-8>",
                f"<title>{html.escape(recipe.name)}</title>",
                "<style>body{font:15px/1.5 system-ui;max-width:72em;margin:2em auto;padding:0 1em}"
                "td,th{padding:.1em .8em;text-align:right}img{width:100%}pre{background:#f4f4f4;padding:1em}</style>",
                f"<h1>{html.escape(recipe.name)}</h1>",
                _table(("the run", ""), _summary(log, recipe)) if log else "",
                _table(("measure", "at the end"), [(name, _shown(value)) for name, value in last.items()]),
                f"<h2>Curves</h2><img src={CURVES} alt='curves'>",
                "<h2>Judged on the way</h2>" if judged else "",
                _table(_JUDGED, [tuple(_shown(entry[name]) for name in _JUDGED) for entry in judged]) if judged else "",
                "<h2>Configuration</h2>",
                f"<pre>{html.escape(json.dumps(recipe.to_json(), indent=1))}</pre></html>",
            ]
        ),
        encoding="utf-8",
    )
    return page


def _summary(log: Sequence[dict[str, Any]], recipe: Recipe) -> list[tuple[str, str]]:
    """The whole run in numbers. A line of the log tells of the steps since the one before."""
    batch, seconds, waited, done = recipe.fit.batch, 0.0, 0.0, 0
    for entry in log:
        taken = (entry["step"] - done) * batch / entry["pairs_per_s"]
        seconds, waited, done = seconds + taken, waited + taken * entry["data_wait"], entry["step"]
    return [
        ("steps", f"{done:,} of {recipe.fit.steps:,}"),
        ("pairs", f"{done * batch:,}"),
        ("hours", f"{seconds / 3600:.2f}"),
        ("pairs/s", f"{done * batch / seconds:.1f}"),
        ("time spent waiting for data", f"{waited / seconds:.1%}"),
    ]


def _draw(path: Path, log: Sequence[dict[str, Any]], judged: Sequence[dict[str, Any]]) -> None:
    rows = (len(_CURVES) + bool(judged) + 1) // 2
    figure = Figure(figsize=(11, 2.4 * rows), layout="constrained")
    for place, (title, names) in enumerate(_CURVES, 1):
        axes = figure.add_subplot(rows, 2, place)
        axes.set_title(title)
        for name in names:
            points = [(entry["step"], entry[name]) for entry in log if name in entry]
            axes.plot([step for step, _ in points], [value for _, value in points], label=name if points else None)
        if len(names) > 1 and log:
            axes.legend()
    if judged:
        axes = figure.add_subplot(rows, 2, len(_CURVES) + 1)
        axes.set_title("success AUC")
        axes.plot([entry["step"] for entry in judged], [entry["auc"] for entry in judged], marker="o")
    FigureCanvasAgg(figure).print_figure(path)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{html.escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _shown(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
