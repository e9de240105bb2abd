"""Keeps secrets out of the log: the last line of defence, since nothing of ours hands any to it."""

from __future__ import annotations

import re
from typing import Any

LONGEST = 2000
"""Characters of one text in the log."""
MOST = 50
"""Entries of one list or table in the log."""

_NAMES = re.compile(r"(?:.*_)?(?:authorization|cookie|password|pepper|secret|ticket|token)", re.IGNORECASE)
_HIDDEN = "[hidden]"
_VALUES = (
    # API keys keep their public part, which tells which key it was.
    (re.compile(r"(lk_[a-z0-9]{1,16}_[a-z2-7]{8}_)[\w-]{20,}"), rf"\1{_HIDDEN}"),
    (re.compile(r"eyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)*"), _HIDDEN),
    (re.compile(r"(v1\.[0-9a-f]{8}\.)[\w-]{8,}\.[\w-]{20,}"), rf"\1{_HIDDEN}"),
    (re.compile(r"(bearer\s+|ticket=|lockon\.ticket\.)[^\s&\"',]+", re.IGNORECASE), rf"\1{_HIDDEN}"),
    (re.compile(r"(://)[^/@\s]+@"), rf"\1{_HIDDEN}@"),
)


def without_secrets(value: Any, name: str = "") -> Any:
    """A field's value as it may be logged: secrets hidden, long texts cut, bytes only counted."""
    if value is not None and _NAMES.fullmatch(name):
        return _HIDDEN
    if isinstance(value, str):
        for pattern, shown in _VALUES:
            value = pattern.sub(shown, value)
        return value[:LONGEST]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, dict):
        return {key: without_secrets(item, str(key)) for key, item in list(value.items())[:MOST]}
    if isinstance(value, list | tuple | set):
        return [without_secrets(item) for item in list(value)[:MOST]]
    return value
