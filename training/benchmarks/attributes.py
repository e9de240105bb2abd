"""Attributes of whole sequences, read from the files that data sets ship with; where there are none, there are none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from training.datasets.textfiles import read_lines
from training.datasets.tracks import DataInvalid


@dataclass(frozen=True, slots=True)
class FlagFiles:
    """One file for each sequence, with a flag 0 or 1 for each of `names`, in this order."""

    places: tuple[str, ...]
    """Where such a file may lie; {name}, {lower} and {split} stand for the sequence's name and the split's."""
    names: tuple[str, ...]


FLAG_FILES: Mapping[str, FlagFiles] = {
    # The order of the attributes in OTB's own perfPlot.m.
    "otb": FlagFiles(
        ("anno/att/{lower}.txt", "anno/att/{name}.txt"),
        ("IV", "OPR", "SV", "OCC", "DEF", "MB", "FM", "IPR", "OV", "BC", "LR"),
    ),
    "uav123": FlagFiles(
        ("anno/{split}/att/{name}.txt",),
        ("SV", "ARC", "LR", "FM", "FOC", "POC", "OV", "BC", "IV", "VC", "CM", "SOB"),
    ),
    # As in LaSOT's evaluation toolkit.
    "lasot": FlagFiles(
        ("att/{name}.txt", "annos/att/{name}.txt"),
        ("IV", "POC", "DEF", "MB", "CM", "ROT", "BC", "VC", "SV", "FOC", "FM", "OV", "LR", "ARC"),
    ),
}
"""By the name of the layout. Of the lists, which nobody else publishes in one place, none is kept here."""


def read_attributes(source: str, split: str, root: Path, name: str) -> frozenset[str]:
    """The attributes of a sequence; empty where the set has no file of them. Raises DataInvalid for a broken one."""
    if source == "folder":
        return _described(root / "meta.json")
    known = FLAG_FILES.get(source)
    if known is None:
        return frozenset()
    words = {"name": name, "lower": name.lower(), "split": split.upper()}
    path = next((path for place in known.places if (path := root / place.format(**words)).is_file()), None)
    return frozenset() if path is None else _flagged(path, known.names)


def _flagged(path: Path, names: tuple[str, ...]) -> frozenset[str]:
    words = [word for line in read_lines(path) for word in line.replace(",", " ").split()]
    try:
        flags = [float(word) for word in words]
    except ValueError as error:
        raise DataInvalid(f"{path}: {error}; expected {len(names)} flags, 0 or 1") from error
    if len(flags) != len(names):
        raise DataInvalid(f"{path}: {len(flags)} flags; expected {len(names)}, for {', '.join(names)}")
    return frozenset(name for name, flag in zip(names, flags, strict=True) if flag)


def _described(path: Path) -> frozenset[str]:
    """`attributes` of a plain sequence's meta.json."""
    if not path.is_file():
        return frozenset()
    listed = json.loads(path.read_text(encoding="utf-8")).get("attributes", [])
    if not isinstance(listed, list) or not all(isinstance(each, str) for each in listed):
        raise DataInvalid(f"{path}: attributes is no list of names")
    return frozenset(listed)
