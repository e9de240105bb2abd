"""How a checkpoint fits a network, for people: what is missing, what is left over, what has another shape."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

Shape = tuple[int, ...]

SHOWN = 8
"""Lines of each kind; the rest is counted."""
_COUNTER = ".num_batches_tracked"
"""Torch before 0.4.1 had no such counters; nothing but training with an unusual momentum reads them."""


@dataclass(frozen=True, slots=True)
class Fit:
    """What does not fit. `names` gives the original name of an array where it has got another one."""

    missing: Mapping[str, Shape]
    unexpected: Mapping[str, Shape]
    reshaped: Mapping[str, tuple[Shape, Shape]]
    """name -> expected shape, found shape"""
    names: Mapping[str, str]

    @property
    def complete(self) -> bool:
        """Every array has its place, and every place its array."""
        return not (self.missing or self.unexpected or self.reshaped)

    def text(self) -> str:
        """A paragraph for each kind of misfit."""
        groups = (
            ("missing", [f"{name} {shape}" for name, shape in self.missing.items()]),
            ("left over", [f"{self._told(name)} {shape}" for name, shape in self.unexpected.items()]),
            ("of another shape", [self._reshaped_line(name) for name in self.reshaped]),
        )
        return "\n".join(_group(title, lines) for title, lines in groups if lines)

    def _reshaped_line(self, name: str) -> str:
        expected, found = self.reshaped[name]
        return f"{self._told(name)}: expected {expected}, found {found}"

    def _told(self, name: str) -> str:
        return self.names.get(name, name)


def fit(
    expected: Mapping[str, Shape], converted: Mapping[str, NDArray[Any]], original: Mapping[str, NDArray[Any]]
) -> Fit:
    """Compares the arrays under our names with the shapes that a network expects.

    original: the arrays under their own names, for the report. Counters of batches may be missing."""
    found = {name: tuple(array.shape) for name, array in converted.items()}
    missing = {name: shape for name, shape in expected.items() if name not in found and not name.endswith(_COUNTER)}
    unexpected = {name: shape for name, shape in found.items() if name not in expected}
    reshaped = {name: (expected[name], shape) for name, shape in found.items() if expected.get(name, shape) != shape}
    by_identity = {id(array): name for name, array in original.items()}
    names = {name: by_identity[id(array)] for name, array in converted.items() if id(array) in by_identity}
    return Fit(missing, unexpected, reshaped, names)


def _group(title: str, lines: Sequence[str]) -> str:
    rest = [f"... and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else []
    return "\n  ".join([f"{len(lines)} {title}:", *lines[:SHOWN], *rest])
