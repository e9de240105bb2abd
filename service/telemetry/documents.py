"""The tables of docs/metrics.md: `python -m service.telemetry.documents` writes them anew between their marks."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from service.telemetry.catalogue import METRICS
from service.telemetry.events import EVENTS, FIELDS

PAGE = Path("docs/metrics.md")


def page_with_tables(page: str) -> str:
    """The page with the tables that the code stands for now."""
    for name, table in _tables().items():
        block = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
        page = re.sub(block, lambda found, table=table: f"{found[1]}{table}\n{found[2]}", page, flags=re.DOTALL)  # type: ignore[misc]
    return page


def _tables() -> dict[str, str]:
    metrics = (
        (
            f"`{metric.full_name}`",
            metric.kind,
            "; ".join(f"`{label}`: {values}" for label, values in metric.labels.items()),
            metric.help,
        )
        for metric in METRICS
    )
    return {
        "metrics": _table(("metric", "type", "labels", "meaning"), metrics),
        "events": _table(("`event`", "meaning"), _quoted(EVENTS)),
        "fields": _table(("field", "meaning"), _quoted(FIELDS)),
    }


def _quoted(meanings: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    return ((f"`{name}`", meaning) for name, meaning in meanings.items())


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ("---",) * len(head), *rows))


def main(arguments: list[str]) -> None:
    """Writes the tables into the file given, by default docs/metrics.md."""
    page = Path(arguments[0]) if arguments else PAGE
    page.write_text(page_with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
