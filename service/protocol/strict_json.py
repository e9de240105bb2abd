"""JSON as the protocol allows it: no NaN or Infinity, no duplicate keys, a bounded depth and size."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_TEXT_BYTES = 64 * 1024
MAX_DEPTH = 8


class JsonRefused(ValueError):
    """The text is no JSON that the protocol takes; the message says why."""


def parsed(text: str | bytes) -> Any:
    """The value of a JSON text; raises JsonRefused."""
    try:
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refused, parse_float=_finite)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise JsonRefused(f"not JSON: {error}") from error
    except RecursionError:
        raise JsonRefused(f"nested deeper than {MAX_DEPTH}") from None
    except JsonRefused:
        raise
    except ValueError as error:  # an integer with thousands of digits
        raise JsonRefused("a number has too many digits") from error
    if _deeper(value, MAX_DEPTH):
        raise JsonRefused(f"nested deeper than {MAX_DEPTH}")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise JsonRefused(f"the key {twice!r:.80} stands twice in one object")
    return members


def _refused(constant: str) -> Any:
    raise JsonRefused(f"{constant} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise JsonRefused(f"{digits:.40} is too large a number")
    return number


def _deeper(value: Any, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    members = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(member, levels - 1) for member in members)
