"""Limits of a recipe's numbers: one error for each value that is out of its range."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from models.spec import SpecInvalid


def require_shares(spec: object, table: str, names: Sequence[str]) -> None:
    """Raises SpecInvalid, naming field and value, unless these are in 0..1. table: where they stand in a recipe."""
    for name in names:
        value = getattr(spec, name)
        if not 0 <= value <= 1:
            raise SpecInvalid(f"{table}.{name} must be in 0..1, got {value}")


def require_at_least(least: int, spec: object, table: str, names: Sequence[str]) -> None:
    """Raises SpecInvalid, naming field and value, unless these are numbers of so much or more, and finite."""
    for name in names:
        value = getattr(spec, name)
        if not least <= value < inf:
            raise SpecInvalid(f"{table}.{name} must be {least} or more, got {value}")
