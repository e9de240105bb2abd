"""Opens what a recipe names: published data sets, shards and packs, as tracks and stills that pairs are drawn from."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from training.datasets import shards
from training.datasets.catalogue import all_tracks, chosen_splits, recognise
from training.datasets.tracks import DataInvalid, Pictures, Track
from training.packs.crops import CropRule, cropped
from training.packs.reading import is_pack, read_pack
from training.recipe import DataRecipe, SourceRecipe


class AllPictures:
    """The pictures of many tracks under one numbering, each once."""

    def __init__(self, tracks: Iterable[Track]) -> None:
        self._tables: list[Pictures] = list({id(track.pictures): track.pictures for track in tracks}.values())
        self._ends: NDArray[np.int64] = np.array(list(accumulate(map(len, self._tables))), np.int64)

    def __len__(self) -> int:
        """How many there are."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def locate(self, number: int) -> tuple[Pictures, int]:
        """The table that holds picture `number`, and its number there."""
        table = int(np.searchsorted(self._ends, number, side="right"))
        before = int(self._ends[table - 1]) if table else 0
        return self._tables[table], number - before


@dataclass(frozen=True, slots=True, eq=False)
class DataSet:
    """Tracks of two frames and more, stills, and how often they are drawn."""

    tracks: tuple[Track, ...]
    stills: tuple[Track, ...]
    pictures: AllPictures
    """Backgrounds are drawn from them, whether they show a target or not."""
    weight: float = 1.0
    gap: int = 0
    """Template and search frame are at most this far apart in time; 0: any two frames."""

    @classmethod
    def of(
        cls,
        tracks: Iterable[Track],
        min_side: float,
        weight: float = 1.0,
        gap: int = 0,
        largest_aspect: float = 0.0,
    ) -> Self:
        """The data set without views whose target is hidden, smaller than `min_side` pixels, or too long a strip.

        A track that loses all but one of its frames is left out."""
        everything = list(tracks)
        moving: list[Track] = []
        stills: list[Track] = []
        for track in everything:
            if (seen := track.seen(min_side, largest_aspect)) is None:
                continue
            if len(track) == 1:
                stills.append(seen)
            elif len(seen) > 1:
                moving.append(seen)
        return cls(tuple(moving), tuple(stills), AllPictures(everything), weight, gap)


def open_sources(recipe: DataRecipe) -> list[DataSet]:
    """The data sets of a recipe; raises DataInvalid for what is missing or broken."""
    return [_opened(source, recipe) for source in recipe.sources]


def _opened(source: SourceRecipe, recipe: DataRecipe) -> DataSet:
    root = Path(os.path.expandvars(source.path))
    tracks = read_source(root, source.splits)
    data = DataSet.of(tracks, recipe.min_side, source.weight, source.gap, recipe.largest_aspect)
    if not data.tracks and not data.stills:
        raise DataInvalid(f"{root}: shows no target of {recipe.min_side} pixels or more")
    return data


def read_source(root: Path, splits: Sequence[str] = ()) -> list[Track]:
    """All tracks of a pack, of shards or of a published data set.

    Frames of the latter are cut on the fly as `lockon data pack` cuts them: the same pairs come of a folder and of its
    pack, only slower. The pictures of shards stay as they are, so a pack of shards gives other pairs."""
    if is_pack(root):
        if splits:
            raise DataInvalid(f"{root}: a pack has no splits; they are chosen when it is made")
        return read_pack(root)
    tracks: list[Track] = []
    for found in recognise(root):
        read = all_tracks(found, chosen_splits(found, splits))
        if found.layout is shards.LAYOUT:  # whose pictures are crops already
            tracks += read
            continue
        rule = CropRule()
        tracks += (cropped(seen, rule) for track in read if (seen := track.seen(rule.min_side)) is not None)
    return tracks
