"""A recipe: everything that decides a training run, read strictly from TOML into frozen dataclasses."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.spec import ModelSpec, spec_from_mapping


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """What pairs are drawn from."""

    shards: str
    """Folder with tar shards; `$NAME` is replaced from the environment."""
    min_side: float
    """Views with a smaller side (pixels of the stored picture) are left out."""
    track_share: float
    """Share of pairs from tracks; the rest pairs a still with itself."""
    source_power: float
    """Sources are drawn in proportion to (number of their things) ** source_power."""
    negative_share: float
    """Share of pairs whose search crop does not hold the target."""


@dataclass(frozen=True, slots=True)
class AugmentRecipe:
    """How crops are disturbed. Shares are probabilities, shifts are shares of the search crop's side."""

    shift: float
    scale: float
    """Standard deviation of the logarithm of the target's scale in the search crop."""
    aspect: float
    template_jitter: float
    low_resolution_share: float
    low_resolution_factor: float
    """Crops are cut up to this many times smaller and enlarged again, as small targets are when served."""
    background_share: float
    """Crops whose surroundings outside the stored picture are filled from another picture, not with the mean colour."""
    colour: float
    grey_share: float
    blur_share: float
    noise: float
    """Largest standard deviation of the added noise, in grey levels."""
    distractor_share: float
    occluder_share: float


@dataclass(frozen=True, slots=True)
class FitRecipe:
    """Optimisation."""

    seed: int
    steps: int
    batch: int
    learning_rate: float
    backbone_rate: float
    """The backbone's learning rate as a share of the head's."""
    frozen_steps: int
    """Steps at the start in which the deep half of the backbone stays frozen; its shallow half always is."""
    warmup_steps: int
    weight_decay: float
    gradient_clip: float
    ema_decay: float
    score_weight: float
    box_weight: float
    checkpoint_every: int


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run of one network."""

    name: str
    model: ModelSpec
    data: DataRecipe
    augment: AugmentRecipe
    fit: FitRecipe

    def to_json(self) -> dict[str, Any]:
        """Plain data, saved beside every checkpoint."""
        # Through text, so that enums become the plain strings that a checkpoint may hold.
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file; raises models.spec.SpecInvalid naming the key that is wrong."""
    return spec_from_mapping(Recipe, tomllib.loads(path.read_text(encoding="utf-8")), where=path.name)
