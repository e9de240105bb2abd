"""Draws a sheet of training pairs as the network sees them: augmented, with the box where there is one."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from training.augment import Pairs
from training.datasets.sources import open_sources
from training.feeding import Feeder
from training.recipe import read_recipe
from training.sampling import PairSampler

COLUMNS, SIDE, MARGIN = 6, 224, 6
LARGEST = 48
"""Pairs on a sheet, if the batch has so many."""
_POSITIVE, _NEGATIVE = (104, 211, 74), (94, 80, 240)


def draw_pairs(recipe_path: Path, step: int) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 BGR: the batch of a step of the recipe's run, the template of each pair left of its search crop.

    The frame is green where the target is in the search crop, else red. Raises SpecInvalid and DataInvalid."""
    recipe = read_recipe(recipe_path)
    data = open_sources(recipe.data)
    sampler = PairSampler(data, recipe.data, recipe.augment, recipe.trained_model.crop, recipe.fit.seed)
    # The pairs are drawn before the network's shallow half would run on them.
    pairs = Feeder(recipe, sampler, lambda crops: crops, torch.device("cpu")).pairs(step)
    tiles = [_tile(pairs, row) for row in range(min(LARGEST, len(pairs.boxes)))]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    rows = (tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS))
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)


def _tile(pairs: Pairs, row: int) -> NDArray[np.uint8]:
    """Template and search crop side by side at the search crop's scale, in a frame of the pair's colour."""
    positive = bool(pairs.positive[row])
    template, search = (
        crops[row].cpu().clamp(0, 255).to(torch.uint8).numpy().copy() for crops in (pairs.templates, pairs.searches)
    )
    colour = _POSITIVE if positive else _NEGATIVE
    if positive:
        x0, y0, x1, y1 = (round(float(value)) for value in pairs.boxes[row])
        cv2.rectangle(search, (x0, y0), (x1, y1), colour, 1, cv2.LINE_AA)
    scale = SIDE / search.shape[0]
    parts = []
    for crop in (template, search):
        side = round(crop.shape[0] * scale)
        sized = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
        below = SIDE - side
        parts.append(cv2.copyMakeBorder(sized, 0, below, 0, 0, cv2.BORDER_CONSTANT, value=(24, 24, 24)))
    framed = cv2.copyMakeBorder(np.hstack(parts), *(MARGIN,) * 4, cv2.BORDER_CONSTANT, value=colour)
    return np.asarray(framed, np.uint8)
