"""JSON as the protocol allows it: no NaN or Infinity, no integers of more than 64 bits, no half characters, no
duplicate keys, a bounded depth and size. So whatever was taken can be said again, and stored."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_TEXT_BYTES = 64 * 1024
MAX_DEPTH = 8
LEAST_INTEGER, GREATEST_INTEGER = -(2**63), 2**63 - 1


class JsonRefused(ValueError):
    """The text is no JSON that the protocol takes; the message says why."""


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text; raises JsonRefused."""
    try:
        value = json.loads(
            text, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite, parse_int=_bounded
        )
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise JsonRefused(f"not JSON: {error}") from error
    except RecursionError:
        raise JsonRefused(f"nested deeper than {MAX_DEPTH}") from None
    _check(value, MAX_DEPTH)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise JsonRefused(f"the key {name!r:.80} stands twice in one object")
        members[name] = value
    return members


def _refused(constant: str) -> Any:
    raise JsonRefused(f"{constant} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise JsonRefused(f"{digits:.40} is too large a number")
    return number


def _bounded(digits: str) -> int:
    # More than twenty characters are too large in any case, and thousands are more than `int` takes.
    number = int(digits) if len(digits) <= len(str(LEAST_INTEGER)) else None
    if number is None or not LEAST_INTEGER <= number <= GREATEST_INTEGER:
        raise JsonRefused(f"{digits:.40} is too large an integer; the limit is 64 bits")
    return number


def _check(value: Any, levels: int) -> None:
    """Raises JsonRefused for what lies deeper, and for strings with half of a surrogate pair, which are no Unicode."""
    if isinstance(value, str):
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise JsonRefused(f"{value!a:.80} has half of a surrogate pair")
    elif isinstance(value, dict | list):
        if levels == 0:
            raise JsonRefused(f"nested deeper than {MAX_DEPTH}")
        members = value if isinstance(value, list) else (*value, *value.values())
        for member in members:
            _check(member, levels - 1)
