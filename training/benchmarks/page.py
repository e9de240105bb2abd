"""The report of a benchmark as one HTML file: tables, curves, and the sequences that went worst, drawn."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.runtimes.base import ByteArray
from training.benchmarks.regions import Region, is_code
from training.benchmarks.report import shown
from training.benchmarks.scoring import DEFINITIONS, BenchmarkScores, Metrics
from training.benchmarks.sequences import BenchmarkSequence

WORST = 6
"""How many sequences are drawn."""
SHOTS = 6
"""Frames of each, evenly spread."""
SHOT_WIDTH = 300
TRUE_COLOUR, FOUND_COLOUR = (80, 200, 80), (60, 60, 230)
"""BGR."""

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: .6rem 0 1.6rem; font-variant-numeric: tabular-nums }
th, td { padding: .2rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
th:first-child, td:first-child { text-align: left }
.curves { display: flex } .curves img { width: 33.3% }
.shots { display: flex; flex-wrap: wrap; gap: 4px } .scroll { overflow-x: auto } img { max-width: 100% }
.true { color: #2a8f2a } .found { color: #d33 }
"""


def write_page(
    path: Path,
    title: str,
    listed: Sequence[BenchmarkScores],
    pictures: Sequence[Path],
    drawn: Mapping[str, Sequence[ByteArray]],
) -> None:
    """Writes the page. The first of `listed` is the judged tracker; `pictures` are PNGs of curves; `drawn` holds the
    pictures of sequences. Everything is inside the file, which may be sent as it is."""
    judged = listed[0]
    parts = [f"<h1>{html.escape(title)}</h1>", _overall(listed)]
    curves = (f'<img alt="{html.escape(each.stem)}" src="{_inline(each.read_bytes(), "png")}">' for each in pictures)
    parts.append(f'<div class="curves">{"".join(curves)}</div>')
    if drawn:
        parts.append("<h2>Worst sequences</h2>")
        parts.append('<p><span class="true">green: truth</span>, <span class="found">red: tracker</span></p>')
    for name, shots in drawn.items():
        score = judged.sequences[name].get(judged.headline, 0.0)
        images = "".join(f'<img alt="" src="{_inline(_jpeg(shot), "jpeg")}">' for shot in shots)
        parts.append(f'<h3>{html.escape(name)}: {score:.3f}</h3><div class="shots">{images}</div>')
    if judged.attributes:
        parts += ["<h2>Attributes</h2>", _table("attribute", judged.attributes)]
    ordered = {name: judged.sequences[name] for name in judged.worst}
    parts += [
        "<h2>Sequences, the worst first</h2>",
        _table("sequence", ordered),
        "<h2>Definitions</h2>",
        _definitions(),
    ]
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
    path.write_text(f"{head}<style>{_STYLE}</style>{''.join(parts)}</html>\n", encoding="utf-8")


def draw_worst(
    scores: BenchmarkScores, sequences: Sequence[BenchmarkSequence], results: Mapping[str, Sequence[Region]]
) -> dict[str, list[ByteArray]]:
    """Frames of the worst sequences with truth and result drawn, by name."""
    known = {sequence.name: sequence for sequence in sequences}
    return {name: _shots(known[name], results[name]) for name in scores.worst[:WORST]}


def _shots(sequence: BenchmarkSequence, result: Sequence[Region]) -> list[ByteArray]:
    numbers = sorted({round(value) for value in np.linspace(0, len(sequence) - 1, SHOTS)})
    return [_shot(sequence, number, result[number]) for number in numbers]


def _shot(sequence: BenchmarkSequence, number: int, region: Region) -> ByteArray:
    picture = sequence.frame(number)
    scale = SHOT_WIDTH / picture.shape[1]
    size = (SHOT_WIDTH, max(round(picture.shape[0] * scale), 1))
    small = np.ascontiguousarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
    for shape, colour in ((sequence.regions[number], TRUE_COLOUR), (region, FOUND_COLOUR)):
        if not is_code(shape):
            cv2.polylines(small, [_corners(shape, scale)], isClosed=True, color=colour, thickness=2)
    cv2.putText(small, str(number + 1), (6, 18), cv2.FONT_HERSHEY_SIMPLEX, 0.55, (255, 255, 255), 2, cv2.LINE_AA)
    return small


def _corners(region: Region, scale: float) -> NDArray[np.int32]:
    if len(region) == 4:
        x, y, w, h = region
        region = np.array([x, y, x + w, y, x + w, y + h, x, y + h])
    return np.asarray((region.reshape(-1, 2) * scale).round(), np.int32)


def _overall(listed: Sequence[BenchmarkScores]) -> str:
    """One row for each metric."""
    head = "".join(f"<th>{html.escape(name)}</th>" for name in ("metric", *(each.tracker for each in listed)))
    rows = []
    for name in _names(listed):
        cells = "".join(f"<td>{shown(name, each.overall.get(name))}</td>" for each in listed)
        rows.append(f"<tr><td>{html.escape(name)}</td>{cells}</tr>")
    return f"<h2>Scores</h2>{_scrolled(head, rows)}"


def _names(listed: Sequence[BenchmarkScores]) -> list[str]:
    return list(dict.fromkeys(name for scores in listed for name in scores.overall))


def _table(first: str, parts: Mapping[str, Metrics]) -> str:
    names = list(dict.fromkeys(name for metrics in parts.values() for name in metrics))
    head = "".join(f"<th>{html.escape(name)}</th>" for name in (first, *names))
    rows = []
    for part, metrics in parts.items():
        cells = "".join(f"<td>{shown(name, metrics.get(name))}</td>" for name in names)
        rows.append(f"<tr><td>{html.escape(part)}</td>{cells}</tr>")
    return _scrolled(head, rows)


def _scrolled(head: str, rows: Sequence[str]) -> str:
    return f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'


def _definitions() -> str:
    items = (f"<dt><b>{html.escape(name)}</b></dt><dd>{html.escape(text)}</dd>" for name, text in DEFINITIONS.items())
    return f"<dl>{''.join(items)}</dl>"


def _jpeg(picture: ByteArray) -> bytes:
    done, content = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    assert done
    return content.tobytes()


def _inline(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
