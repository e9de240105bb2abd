"""What a load showed, as a table for people."""

from __future__ import annotations

from collections.abc import Iterator

from rich.table import Table

from service.bench.figures import PARTS, Figures
from service.bench.load import Observed

Row = tuple[str, str]
_SAID = 3
"""Failures in words that are shown."""


def rows(observed: Observed, found: Figures) -> Iterator[Row]:
    """What was measured, and the outcome in words; for the terminal and the page alike."""
    load = observed.load
    yield "load", f"{load.streams} streams x {load.fps:g} frames/s for {load.seconds:g} s, {_extras(observed)}"
    ages = found.ages
    yield "age, ms", f"p50 {ages.p50:.1f}, p95 {ages.p95:.1f}, p99 {ages.p99:.1f}, largest {ages.largest:.1f}"
    yield "p99 of the worst stream, ms", f"{found.worst_stream_p99_ms:.1f}"
    yield (
        "answered / offered",
        f"{found.answered} / {found.offered} = {found.delivered:.1%}, {found.frames_per_s:.0f} a second",
    )
    yield "left out by the client", f"{found.skipped} for want of credit"
    yield "fairness", f"Jain {found.jain:.4f}, shares {min(found.shares):.1%} to {max(found.shares):.1%}"
    yield "longest gap between answers", f"{found.longest_gap_s * 1e3:.0f} ms"
    yield "server's counters", _counters(found)
    if drops := _drops(found):
        yield "dropped by the server", drops
    yield "sessions", ", ".join(f"{name} {count}" for name, count in found.outcomes.items())
    for words, count in observed.failures.most_common(_SAID):
        yield "said by the deployment", f"{words} ({count} times)"
    if found.longest_resume_s:
        yield "resumed after", f"{found.longest_resume_s:.1f} s at the longest; answers of a stale epoch {found.stale}"
    yield "states of targets", ", ".join(f"{name} {count}" for name, count in found.states.items()) or "none"
    yield "sent", f"about {found.bytes_per_s / 1e6:.2f} MB/s, {observed.film.mean_bytes / 1e3:.0f} kB a frame"
    slow = "" if found.kept_up else ": this machine is too slow to make the load, which is part of the ages"
    yield "frames offered late by", f"p99 {found.late_p99_ms:.1f} ms{slow}"


def shown(observed: Observed, found: Figures) -> Table:
    """The rows as a table."""
    table = Table(show_header=False, title=observed.load.url)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, words in rows(observed, found):
        table.add_row(name, words)
    return table


def _extras(observed: Observed) -> str:
    load, film = observed.load, observed.film
    parts = [f"{film.name} {film.width}x{film.height}"]
    parts += [f"jitter {load.jitter_ms:g} ms"] * bool(load.jitter_ms)
    parts += [f"{load.churn:g} leave a minute"] * bool(load.churn)
    parts += [f"model {load.model}"] * bool(load.model)
    return ", ".join(parts)


def _counters(found: Figures) -> str:
    """The account of the frames that the server received, and whether it is even."""
    parts = " + ".join(f"{found.counters[part]} {part}" for part in PARTS)
    missing = found.sessions - found.accounted
    unheard = f"; {missing} sessions were gone before they could be asked" if missing else ""
    return f"{found.counters['received']} received {'=' if found.sums else '!='} {parts}{unheard}"


def _drops(found: Figures) -> str:
    named = {name: count for name, count in found.counters.items() if name.startswith("dropped_") and count}
    return ", ".join(f"{name.removeprefix('dropped_')} {count}" for name, count in named.items())
