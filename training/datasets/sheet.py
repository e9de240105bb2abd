"""Draws a sheet of samples with their boxes, to see with one's own eyes what a data set holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.geometry import Box
from training.datasets.catalogue import Found, chosen_splits, recognise
from training.datasets.tracks import DataInvalid, Track, View, decoded
from training.packs.reading import is_pack, read_pack

ROWS, COLUMNS, TILE = 6, 6, 200
_LABEL = 16
_COLOUR = (104, 211, 74)
_TRIES = 50
_Pixels = NDArray[np.uint8]


def draw_sheet(source: Path, splits: Sequence[str], seed: int) -> _Pixels:
    """(H, W, 3) uint8 BGR: a row for each of ROWS tracks, COLUMNS frames of it; a row of stills shows many of them.

    source: a pack, or anything that `recognise` knows. Raises DataInvalid."""
    rng = np.random.default_rng(seed)
    draws = _pack_draws(source, rng) if is_pack(source) else _folder_draws(recognise(source), splits, rng)
    rows = [_row(draws, rng) for _ in range(ROWS)]
    return np.concatenate(rows, axis=0)


def _pack_draws(pack: Path, rng: Generator) -> Iterator[Track]:
    tracks = read_pack(pack)
    while True:
        yield tracks[int(rng.integers(len(tracks)))]


def _folder_draws(found: list[Found], splits: Sequence[str], rng: Generator) -> Iterator[Track]:
    """A random track of a random sequence; only that sequence is read. The large ones, with all in one file, once."""
    sequences = [
        (data, split, name)
        for data in found
        for split in (chosen_splits(data, splits) if splits else data.layout.present(data.root))
        for name in data.layout.sequences(data.root, split)
    ]
    kept: dict[int, list[Track]] = {}
    faults: list[str] = []
    while len(faults) < _TRIES:
        number = int(rng.integers(len(sequences)))
        data, split, name = sequences[number]
        if number not in kept:
            try:
                read = (track.seen(1) for track in data.layout.tracks(data.root, split, name))
                kept[number] = [track for track in read if track is not None]
            except DataInvalid as error:
                faults.append(str(error))
                continue
        if kept[number]:
            yield kept[number][int(rng.integers(len(kept[number])))]
        else:
            faults.append(f"{name}: shows no target")
    raise DataInvalid(f"{found[0].root}: {len(faults)} draws had nothing to show; the first: {faults[0]}")


def _row(draws: Iterator[Track], rng: Generator) -> _Pixels:
    """One track from its first to its last frame; or, if it is a still, the next COLUMNS draws."""
    track = next(draws)
    if len(track) > 1:
        rows = np.linspace(0, len(track) - 1, COLUMNS).round().astype(int)
        tiles = [_tile(track, track.views[int(row)]) for row in rows]
    else:
        drawn = [track, *(next(draws) for _ in range(COLUMNS - 1))]
        tiles = [_tile(found, found.views[int(rng.integers(len(found)))]) for found in drawn]
    return np.concatenate(tiles, axis=1)


def _tile(track: Track, view: View) -> _Pixels:
    """(TILE + _LABEL, TILE, 3): the whole picture made to fit, the box, and below the name and the frame."""
    picture = decoded(view.pictures, view.picture)
    height, width = picture.shape[:2]
    scale = TILE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    tile = np.full((TILE + _LABEL, TILE, 3), 24, np.uint8)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    tile[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=method)
    _draw(tile, view.box, scale)
    text = f"{track.name[-24:]} {view.frame}"
    cv2.putText(tile, text, (3, TILE + _LABEL - 5), cv2.FONT_HERSHEY_SIMPLEX, 0.36, (220, 220, 220), 1, cv2.LINE_AA)
    return tile


def _draw(tile: _Pixels, box: Box, scale: float) -> None:
    low = (round(box.x * scale), round(box.y * scale))
    high = (round((box.x + box.w) * scale), round((box.y + box.h) * scale))
    cv2.rectangle(tile, low, high, _COLOUR, 1, cv2.LINE_AA)
