"""Draws training pairs: a pure function of (seed, step), so that a resumed run sees what an uninterrupted one would."""

from __future__ import annotations

import math
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from models.spec import CropSpec
from training.cutting import Placement, Surroundings, cut
from training.datasets.sources import DataSet
from training.datasets.tracks import Pictures, Track, View, decoded
from training.placement import placed
from training.published import pysot, video_analyst
from training.published.shown import Crops, Shown
from training.recipe import Augmentation, AugmentRecipe, DataRecipe, PysotAugment, VideoAnalystAugment

NEGATIVE_TRIES = 100
DECODED_BYTES = 4 << 30
"""Decoded pictures that a sampler keeps; the shards of the default model take 2.4 GB."""


@dataclass(frozen=True, slots=True)
class PairBatch:
    """B pairs. Boxes are x0, y0, x1, y1 in search crop pixels; in negative pairs, of what is not the target."""

    templates: NDArray[np.uint8]
    """(B, Z, Z, 3) BGR."""
    searches: NDArray[np.uint8]
    """(B, S, S, 3) BGR."""
    boxes: NDArray[np.float32]
    """(B, 4)."""
    positive: NDArray[np.bool_]
    """(B,): is the target in the search crop?"""
    gaps: NDArray[np.int64]
    """(B,): frames between template and search crop; 0 for negative pairs."""


class Pool:
    """Tracks drawn part by part, a part in proportion to a power of its size."""

    def __init__(self, tracks: Sequence[Track], power: float) -> None:
        by_source: dict[str, list[Track]] = defaultdict(list)
        for track in tracks:
            by_source[track.source].append(track)
        self._sources = [by_source[name] for name in sorted(by_source)]
        weights = np.array([len(source) for source in self._sources], float) ** power
        self._shares = weights / weights.sum()

    def __bool__(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self._sources)

    def draw(self, rng: Generator) -> Track:
        """One track."""
        source = self._sources[int(rng.choice(len(self._sources), p=self._shares))]
        return source[int(rng.integers(len(source)))]


class Mix:
    """Data sets drawn in proportion to their weights, and their tracks and stills."""

    def __init__(self, data: Sequence[DataSet], recipe: DataRecipe) -> None:
        self._data, self._track_share = data, recipe.track_share
        self._pools = [
            (Pool(part.tracks, recipe.source_power), Pool(part.stills, recipe.source_power)) for part in data
        ]
        self._classes: dict[str, list[Track]] = defaultdict(list)
        for track in (track for part in data for track in (*part.tracks, *part.stills) if track.category is not None):
            self._classes[str(track.category)].append(track)
        weights = np.array([part.weight for part in data], float)
        self._shares = weights / weights.sum()

    def draw(self, rng: Generator) -> tuple[Track, int]:
        """One track or still, and the gap that its data set allows between two frames."""
        part = self._part(rng)
        tracks, stills = self._pools[part]
        moving = rng.random() < self._track_share if tracks and stills else bool(tracks)
        return (tracks if moving else stills).draw(rng), self._data[part].gap

    def alike(self, track: Track, rng: Generator) -> Track | None:
        """A track or still of the same class, which may be the same one; None where the class is not known."""
        things = self._classes[track.category] if track.category is not None else []
        return things[int(rng.integers(len(things)))] if things else None

    def background(self, rng: Generator) -> tuple[Pictures, int]:
        """Any picture: its table and its number there."""
        pictures = self._data[self._part(rng)].pictures
        return pictures.locate(int(rng.integers(len(pictures))))

    def _part(self, rng: Generator) -> int:
        return int(rng.choice(len(self._data), p=self._shares)) if len(self._data) > 1 else 0


class DecodedPictures:
    """Decoded pictures, those used last kept up to `limit` bytes, so that later epochs of a small set are free."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._kept: OrderedDict[tuple[int, int], tuple[Pictures, NDArray[np.uint8]]] = OrderedDict()

    def get(self, pictures: Pictures, number: int) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 BGR; raises DataInvalid if it can't be decoded."""
        key = (id(pictures), number)
        if (found := self._kept.get(key)) is not None:
            self._kept.move_to_end(key)
            return found[1]
        picture = decoded(pictures, number)
        self._kept[key] = (pictures, picture)  # holding the table keeps its id from being used again
        self._held += picture.nbytes
        while self._held > self._limit:
            _, (_, oldest) = self._kept.popitem(last=False)
            self._held -= oldest.nbytes
        return picture


class PairSampler:
    """Cuts batches of template and search crops from data sets."""

    def __init__(
        self,
        data: Sequence[DataSet],
        recipe: DataRecipe,
        augment: Augmentation,
        crop: CropSpec,
        seed: int,
        *,
        decoded_bytes: int = DECODED_BYTES,
    ) -> None:
        self._mix = Mix(data, recipe)
        self._pictures = DecodedPictures(decoded_bytes)
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
            np.zeros(size, np.int64),
        )
        for row in range(size):
            self._fill(batch, row, rng)
        return batch

    def _fill(self, batch: PairBatch, row: int, rng: Generator) -> None:
        track, gap = self._mix.draw(rng)
        template, search = two_views(track, gap, rng)
        if rng.random() < self._recipe.negative_share:
            search = self._other(track, rng)
            batch.positive[row] = False
        else:
            batch.gaps[row] = abs(search.frame - template.frame)
        out = batch.templates[row], batch.searches[row]
        match self._augment:
            case AugmentRecipe() as rule:
                batch.boxes[row] = self._cut_pair(template, search, rule, rng, out)
            case PysotAugment() as rule:
                batch.boxes[row] = pysot.cut_pair(self._shown(template), self._shown(search), rule, rng, out)
            case VideoAnalystAugment() as rule:
                batch.boxes[row] = video_analyst.cut_pair(
                    self._shown(template), self._shown(search), self._crop, rule, rng, out
                )

    def _shown(self, view: View) -> Shown:
        return Shown(self._pictures.get(view.pictures, view.picture), view.box)

    def _cut_pair(
        self, template: View, search: View, rule: AugmentRecipe, rng: Generator, out: Crops
    ) -> tuple[float, float, float, float]:
        factor = 1.0
        if rng.random() < rule.low_resolution_share:
            factor = math.exp(rng.uniform(0, math.log(rule.low_resolution_factor)))
        jitter = rule.template_jitter
        dx, dy = rng.uniform(-jitter, jitter, 2)
        still = Placement(float(dx), float(dy), math.exp(rng.normal(0, jitter)), 1.0, 0.0)
        self._cut(template, still, self._surroundings(factor, rule, rng), out[0])
        moved = placed(search.box, self._crop, rule, rng)
        factor = max(1.0, factor * math.exp(rng.normal(0, 0.1)))
        # Negatives too, or a target on a strange background would be a sure sign of the right one.
        elsewhere = rng.random() < rule.transplant_share
        return self._cut(search, moved, self._surroundings(factor, rule, rng, elsewhere=elsewhere), out[1])

    def _cut(
        self, view: View, placement: Placement, surroundings: Surroundings, out: NDArray[np.uint8]
    ) -> tuple[float, float, float, float]:
        shown = self._shown(view)
        return cut(shown.picture, shown.box, self._crop, placement, surroundings, out)

    def _other(self, track: Track, rng: Generator) -> View:
        alike = self._mix.alike(track, rng) if rng.random() < self._recipe.same_class_share else None
        for _ in range(NEGATIVE_TRIES):
            other = alike or self._mix.draw(rng)[0]
            alike = None
            if other.scene != track.scene:
                return other.views[int(rng.integers(len(other)))]
        raise ValueError(f"no target outside the scene {track.scene!r} was found; set data.negative_share to 0")

    def _surroundings(
        self, factor: float, rule: AugmentRecipe, rng: Generator, *, elsewhere: bool = False
    ) -> Surroundings:
        if rng.random() >= rule.background_share and not elsewhere:
            return Surroundings(factor, None, elsewhere=False)
        picture = self._pictures.get(*self._mix.background(rng))
        height, width = picture.shape[:2]
        side = int(min(height, width) * rng.uniform(0.5, 1.0))
        x, y = int(rng.integers(width - side + 1)), int(rng.integers(height - side + 1))
        return Surroundings(factor, picture[y : y + side, x : x + side], elsewhere)


def two_views(track: Track, gap: int, rng: Generator) -> tuple[View, View]:
    """Template and search view: two different frames of a track at most `gap` apart (0: any).

    Twice the same of a still, and where no other frame is near enough."""
    views = track.views
    if len(views) == 1:
        return views[0], views[0]
    if gap == 0:
        first, second = rng.choice(len(views), 2, replace=False)
        return views[int(first)], views[int(second)]
    row = int(rng.integers(len(views)))
    frame = track.frames[row]
    low = int(np.searchsorted(track.frames, frame - gap, side="left"))
    high = int(np.searchsorted(track.frames, frame + gap, side="right"))
    if high - low == 1:
        return views[row], views[row]
    other = int(rng.integers(low, high - 1))
    return views[row], views[other + (other >= row)]
