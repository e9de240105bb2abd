"""What is known of a published data set: who publishes it, its splits, and the functions that read it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from training.datasets.tracks import Track


@dataclass(frozen=True, slots=True)
class Split:
    """How much the owner publishes; None where that is not fixed."""

    sequences: int | None = None
    frames: int | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """One published layout. A sequence is what is read in one go: a video, or a file with thousands of pictures."""

    name: str
    title: str
    publisher: str
    """Where its owner publishes it, and on what terms."""
    splits: Mapping[str, Split]
    training: tuple[str, ...]
    """The splits that are for training; empty for a benchmark."""
    matches: Callable[[Path], bool]
    """Whether a folder has this layout. Looks at a few names only, never fails."""
    present: Callable[[Path], list[str]]
    """Which splits lie in the folder."""
    sequences: Callable[[Path, str], list[str]]
    """Names of a split's sequences: by the set's own list where there is one, so that missing ones are named."""
    tracks: Callable[[Path, str, str], Iterable[Track]]
    """The tracks of one sequence; raises DataInvalid where it is missing or broken."""
    remark: str = ""
    """What to know when it is incomplete."""


def subfolders(folder: Path) -> list[Path]:
    """The visible folders in a folder, by name; none if it can't be listed."""
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if not path.name.startswith((".", "__")) and path.is_dir())
    return sorted(found, key=lambda path: path.name)
