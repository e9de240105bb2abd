"""Lines of one kind that come in a flood: the first few are written, the others are counted."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

BURST = 10
PERIOD_S = 10.0
MOST_KINDS = 256

COMPLETE = frozenset({"session_open", "session_close"})
"""Kinds of which every line counts, and which admission limits already."""


@dataclass(slots=True)
class _Flood:
    began_s: float
    written: int = 0
    left_out: int = 0


class Repetition(logging.Filter):
    """Lets BURST lines of a kind through in PERIOD_S; the next one after that says how many were left out.

    Lines below `info` are all let through: who asks for them wants them."""

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        super().__init__()
        self._clock = clock
        self._floods: OrderedDict[tuple[Any, ...], _Flood] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        # A line of structlog's is a table of its fields until it is formatted.
        fields = record.msg if isinstance(record.msg, dict) else None
        kind = str(record.msg) if fields is None else fields.get("event")
        if record.levelno < logging.INFO or kind in COMPLETE:
            return True
        flood = self._flood((record.name, record.levelno, kind))
        if flood.written >= BURST:
            flood.left_out += 1
            return False
        flood.written += 1
        if flood.left_out:
            if fields is None:
                record.repeated = flood.left_out
            else:
                fields["repeated"] = flood.left_out
            flood.left_out = 0
        return True

    def _flood(self, key: tuple[Any, ...]) -> _Flood:
        now_s = self._clock()
        flood = self._floods.setdefault(key, _Flood(now_s))
        self._floods.move_to_end(key)
        if now_s - flood.began_s >= PERIOD_S:
            flood.began_s, flood.written = now_s, 0
        while len(self._floods) > MOST_KINDS:
            self._floods.popitem(last=False)
        return flood
