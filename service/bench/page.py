"""What a load showed, as one HTML page that asks nobody for anything: styles and pictures are inside."""

from __future__ import annotations

import math
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from importlib.metadata import version
from pathlib import Path
from string import Template

from service.bench.figures import Figures
from service.bench.load import Observed
from service.bench.table import rows

WIDTH, HEIGHT, MARGIN = 880, 220, 46
_TEMPLATE = Path(__file__).with_name("page.html")


def page(observed: Observed, found: Figures) -> str:
    """The page."""
    listed = (f"<tr><th>{escape(name)}</th><td>{escape(words)}</td></tr>" for name, words in rows(observed, found))
    seconds = found.seconds
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        url=escape(observed.load.url),
        rows="\n".join(listed),
        ages=_lines({"low": [each.ages.p50 for each in seconds], "high": [each.ages.p99 for each in seconds]}),
        answers=_lines({"low": [float(each.answered) for each in seconds]}),
        shares=_bars(sorted(share * 100 for share in found.shares), 100.0),
        version=escape(version("lockon")),
        made=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        machine=escape(platform.platform()),
    )


def _lines(series: dict[str, list[float]]) -> str:
    """Lines over the seconds, by class of style; what was not measured is a gap."""
    top = max((value for values in series.values() for value in values if not math.isnan(value)), default=1.0) or 1.0
    drawn = "".join(f'<path class="{name}" d="{_path(values, top)}"/>' for name, values in series.items())
    return _framed(drawn, top, f"{len(next(iter(series.values())))} s")


def _path(values: Sequence[float], top: float) -> str:
    steps, command = [], "M"
    for index, value in enumerate(values):
        if math.isnan(value):
            command = "M"
            continue
        x, y = _place((index + 0.5) / len(values), value / top)
        # A line of no length shows as a dot: a second between two gaps.
        steps.append(f"{command}{x:.1f} {y:.1f}h0")
        command = "L"
    return "".join(steps)


def _bars(values: Sequence[float], top: float) -> str:
    """A bar for each value."""
    wide = max(1.0, (WIDTH - 2 * MARGIN) / len(values) - 1)
    floor = _place(0, 0)[1]
    drawn = []
    for index, value in enumerate(values):
        x, y = _place(index / len(values), min(value, top) / top)
        drawn.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{floor - y:.1f}"/>')
    return _framed("".join(drawn), top, f"{len(values)} sessions")


def _framed(drawn: str, top: float, along: str) -> str:
    """The picture with its floor and its ceiling, and what they stand for."""
    (left, floor), (right, ceiling) = _place(0, 0), _place(1, 1)
    lines = "".join(f'<line x1="{left}" y1="{y}" x2="{right}" y2="{y}"/>' for y in (floor, ceiling))
    words = "".join(
        f'<text x="{x}" y="{y}" text-anchor="end">{text}</text>'
        for x, y, text in ((left - 6, floor, "0"), (left - 6, ceiling + 4, f"{top:.3g}"), (right, floor + 16, along))
    )
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img">{lines}{words}{drawn}</svg>'


def _place(across: float, up: float) -> tuple[float, float]:
    """Where in the picture a point is, of 0 to 1 each."""
    return MARGIN + across * (WIDTH - 2 * MARGIN), HEIGHT - MARGIN / 2 - up * (HEIGHT - MARGIN)
