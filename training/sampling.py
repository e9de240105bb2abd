"""Draws training pairs: a pure function of (seed, step), so that a resumed run sees what an uninterrupted one would."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.crops import context_side
from models.geometry import Box
from models.spec import CropSpec
from training.datasets.shards import DataSet, Pictures, Thing, View
from training.recipe import AugmentRecipe, DataRecipe

NEGATIVE_TRIES = 100


@dataclass(frozen=True, slots=True)
class PairBatch:
    """B pairs. Boxes are x0, y0, x1, y1 in search crop pixels; those of negative pairs mean nothing."""

    templates: NDArray[np.uint8]
    """(B, Z, Z, 3) BGR."""
    searches: NDArray[np.uint8]
    """(B, S, S, 3) BGR."""
    boxes: NDArray[np.float32]
    """(B, 4)."""
    positive: NDArray[np.bool_]
    """(B,): is the target in the search crop?"""


class Pool:
    """Things drawn source by source, a source in proportion to a power of its size."""

    def __init__(self, things: Sequence[Thing], power: float) -> None:
        by_source: dict[str, list[Thing]] = defaultdict(list)
        for thing in things:
            by_source[thing.source].append(thing)
        self._sources = [by_source[name] for name in sorted(by_source)]
        weights = np.array([len(source) for source in self._sources], float) ** power
        self._shares = weights / weights.sum()

    def draw(self, rng: Generator) -> Thing:
        """One thing."""
        source = self._sources[int(rng.choice(len(self._sources), p=self._shares))]
        return source[int(rng.integers(len(source)))]


class PairSampler:
    """Cuts batches of template and search crops from a data set."""

    def __init__(self, data: DataSet, recipe: DataRecipe, augment: AugmentRecipe, crop: CropSpec, seed: int) -> None:
        self._pictures = data.pictures
        self._tracks = Pool(data.tracks, recipe.source_power)
        self._stills = Pool(data.stills, recipe.source_power)
        self._recipe, self._augment, self._crop, self._seed = recipe, augment, crop, seed

    def batch(self, step: int, size: int) -> PairBatch:
        """The batch of this step."""
        rng = np.random.default_rng([self._seed, step])
        z, s = self._crop.template_size, self._crop.search_size
        batch = PairBatch(
            np.empty((size, z, z, 3), np.uint8),
            np.empty((size, s, s, 3), np.uint8),
            np.zeros((size, 4), np.float32),
            np.ones(size, np.bool_),
        )
        for row in range(size):
            self._fill(batch, row, rng)
        return batch

    def _fill(self, batch: PairBatch, row: int, rng: Generator) -> None:
        thing = self._draw(rng)
        template, search = _two_views(thing, rng)
        if rng.random() < self._recipe.negative_share:
            search = self._other(thing, rng)
            batch.positive[row] = False
        factor = 1.0
        if rng.random() < self._augment.low_resolution_share:
            factor = math.exp(rng.uniform(0, math.log(self._augment.low_resolution_factor)))
        jitter = self._augment.template_jitter
        dx, dy = rng.uniform(-jitter, jitter, 2)
        still = Placement(float(dx), float(dy), math.exp(rng.normal(0, jitter)), 1.0)
        _cut(self._pictures, template, self._crop, still, self._surroundings(factor, rng), batch.templates[row])
        moved = self._placement(rng)
        factor = max(1.0, factor * math.exp(rng.normal(0, 0.1)))
        batch.boxes[row] = _cut(
            self._pictures, search, self._crop, moved, self._surroundings(factor, rng), batch.searches[row]
        )

    def _draw(self, rng: Generator) -> Thing:
        return (self._tracks if rng.random() < self._recipe.track_share else self._stills).draw(rng)

    def _other(self, thing: Thing, rng: Generator) -> View:
        for _ in range(NEGATIVE_TRIES):
            other = self._draw(rng)
            if other.scene != thing.scene:
                return other.views[int(rng.integers(len(other.views)))]
        raise ValueError(f"no thing outside the scene {thing.scene!r} was found; set data.negative_share to 0")

    def _surroundings(self, factor: float, rng: Generator) -> Surroundings:
        if rng.random() >= self._augment.background_share:
            return Surroundings(factor, None)
        picture = self._pictures[int(rng.integers(len(self._pictures)))]
        height, width = picture.shape[:2]
        side = int(min(height, width) * rng.uniform(0.5, 1.0))
        x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        return Surroundings(factor, picture[y : y + side, x : x + side])

    def _placement(self, rng: Generator) -> Placement:
        # Targets mostly move little between two frames and sometimes a lot: half narrow, half wide.
        reach = self._augment.shift
        shift = (
            np.clip(rng.normal(0, reach / 4, 2), -reach, reach) if rng.random() < 0.5 else rng.uniform(-reach, reach, 2)
        )
        scale = math.exp(float(np.clip(rng.normal(0, self._augment.scale), -0.6, 0.6)))
        aspect = math.exp(float(rng.normal(0, self._augment.aspect)))
        return Placement(float(shift[0]), float(shift[1]), scale, aspect)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a target lies in its crop: shift from the middle as a share of the crop's side; how much it is enlarged;
    how much wider (and less high) it is made."""

    dx: float
    dy: float
    scale: float
    aspect: float


@dataclass(frozen=True, slots=True)
class Surroundings:
    """How a crop is made: through a picture `factor` times smaller; and what stands outside the stored picture:
    a piece of another picture, (H, W, 3), or its mean colour, as beyond a frame's border."""

    factor: float
    background: NDArray[np.uint8] | None


def _two_views(thing: Thing, rng: Generator) -> tuple[View, View]:
    """Template and search view: two different frames of a track, twice the same of a still."""
    if len(thing.views) == 1:
        return thing.views[0], thing.views[0]
    first, second = rng.choice(len(thing.views), 2, replace=False)
    return thing.views[int(first)], thing.views[int(second)]


def _cut(
    pictures: Pictures,
    view: View,
    crop: CropSpec,
    placement: Placement,
    surroundings: Surroundings,
    out: NDArray[np.uint8],
) -> tuple[float, float, float, float]:
    """Cuts the crop of `view` into `out` (S, S, 3); returns the target's box (x0, y0, x1, y1) in it, clipped to it."""
    picture, box = pictures[view.picture], view.box
    side = out.shape[0]
    scale = crop.template_size / context_side(box.size, crop.context_amount) * placement.scale
    scale_x, scale_y = scale * math.sqrt(placement.aspect), scale / math.sqrt(placement.aspect)
    cx, cy = side * (0.5 + placement.dx), side * (0.5 + placement.dy)
    small = max(8, round(side / surroundings.factor))
    shrink = small / side
    # Pixel centres are at half-integers: u + 0.5 = shrink * (scale * (x + 0.5 - box.cx) + cx).
    matrix = np.array(
        [
            [1 / (scale_x * shrink), 0, box.cx - 0.5 + (0.5 / shrink - cx) / scale_x],
            [0, 1 / (scale_y * shrink), box.cy - 0.5 + (0.5 / shrink - cy) / scale_y],
        ]
    )
    if surroundings.background is None:
        cut = np.empty((small, small, 3), np.uint8)
        cut[:] = np.floor(cv2.mean(picture)[:3])
    else:
        cut = np.asarray(cv2.resize(surroundings.background, (small, small), interpolation=cv2.INTER_AREA), np.uint8)
    cv2.warpAffine(
        picture,
        matrix,
        (small, small),
        dst=cut,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_TRANSPARENT,
    )
    out[:] = cut if small == side else cv2.resize(cut, (side, side), interpolation=cv2.INTER_LINEAR)
    return _clipped(Box.from_centre(cx, cy, box.w * scale_x, box.h * scale_y), side)


def _clipped(box: Box, side: int) -> tuple[float, float, float, float]:
    x0, y0 = max(0.0, box.x), max(0.0, box.y)
    return x0, y0, max(x0 + 1, min(side, box.x + box.w)), max(y0 + 1, min(side, box.y + box.h))
