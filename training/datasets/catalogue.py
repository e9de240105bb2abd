"""Which data sets are known, which one a folder holds, and all its tracks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from training.datasets import (
    coco,
    davis,
    got10k,
    ilsvrc,
    lasot,
    otb,
    shards,
    trackingnet,
    uav123,
    vot,
    youtube_bb,
)
from training.datasets.layout import Layout, subfolders
from training.datasets.tracks import DataInvalid, Track

LAYOUTS: tuple[Layout, ...] = (
    got10k.LAYOUT,
    trackingnet.LAYOUT,
    lasot.LAYOUT,
    ilsvrc.VID,
    ilsvrc.DET,
    coco.LAYOUT,
    youtube_bb.LAYOUT,
    uav123.LAYOUT,
    vot.LAYOUT,
    otb.LAYOUT,
    davis.LAYOUT,
    shards.LAYOUT,
)
_OF_ILSVRC = (ilsvrc.VID, ilsvrc.DET)


@dataclass(frozen=True, slots=True)
class Found:
    """A data set and the folder in which it lies."""

    layout: Layout
    root: Path


def recognise(root: Path) -> list[Found]:
    """The data sets in `root`, or else in the folders in it. Raises DataInvalid if there is none.

    A folder holds one set, by the first layout that fits: later ones are less particular, and GOT-10k's folders of a
    split would do for VOT. ILSVRC's two sets alone lie in one folder."""
    if not root.is_dir():
        raise DataInvalid(f"{root}: no such folder")
    found = _held(root) or [held for path in subfolders(root) for held in _held(path)]
    if not found:
        titles = ", ".join(layout.title for layout in LAYOUTS)
        raise DataInvalid(f"{root}: holds none of {titles}, nor do the folders in it")
    return found


def _held(root: Path) -> list[Found]:
    fitting = [layout for layout in LAYOUTS if layout.matches(root)]
    together = [layout for layout in fitting if layout in _OF_ILSVRC]
    return [Found(layout, root) for layout in (together if fitting[:1] == together[:1] else fitting[:1])]


def chosen_splits(found: Found, wanted: Sequence[str]) -> list[str]:
    """The splits of `wanted` that lie there; those for training if none is named. Raises DataInvalid for an empty
    choice and for a name that the data set does not have."""
    layout, present = found.layout, found.layout.present(found.root)
    if unknown := [name for name in wanted if name not in layout.splits]:
        raise DataInvalid(f"{layout.title} has no split {unknown[0]!r}; it has {', '.join(layout.splits)}")
    if not wanted and not layout.training:
        raise DataInvalid(f"{found.root}: {layout.title} is a benchmark; name a split: {', '.join(present)}")
    splits = [name for name in wanted or layout.training if name in present]
    if missing := [name for name in wanted if name not in present]:
        raise DataInvalid(f"{found.root}: the split {missing[0]!r} of {layout.title} is not there")
    if not splits:
        raise DataInvalid(f"{found.root}: none of the splits for training is there: {', '.join(layout.training)}")
    return splits


def all_tracks(found: Found, splits: Sequence[str]) -> Iterator[Track]:
    """Every track of these splits, always in the same order."""
    for split in splits:
        for name in found.layout.sequences(found.root, split):
            yield from found.layout.tracks(found.root, split, name)
