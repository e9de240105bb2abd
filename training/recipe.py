"""A recipe: everything that decides a training run, read strictly from TOML into frozen dataclasses."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from models.spec import ModelSpec, SpecInvalid, spec_from_mapping


@dataclass(frozen=True, slots=True)
class SourceRecipe:
    """One data set: shards, a pack, or the folder of a published one."""

    path: str
    """`$NAME` is replaced from the environment."""
    splits: tuple[str, ...] = ()
    """Of a published data set; those for training if none is named."""
    weight: float = 1.0
    """Pairs are drawn from the sources in proportion to their weights."""
    gap: int = 0
    """Largest distance in frames between template and search region; 0: any two frames of a track."""

    def __post_init__(self) -> None:
        if self.weight <= 0 or self.gap < 0:
            raise SpecInvalid(f"data.sources: weight must be above 0, gap 0 or more: {self}")


@dataclass(frozen=True, slots=True)
class DataRecipe:
    """What pairs are drawn from."""

    sources: tuple[SourceRecipe, ...]
    min_side: float
    """Views with a smaller side (pixels of the stored picture) are left out."""
    track_share: float
    """Share of pairs from tracks; the rest pairs a still with itself. For sources that have both."""
    source_power: float
    """The parts of a source (repositories of shards, data sets of a pack) are drawn in proportion to
    (number of their tracks or stills) ** source_power."""
    negative_share: float
    """Share of pairs whose search crop does not hold the target."""
    same_class_share: float
    """Share of these whose search crop is centred on another thing of the template's class, where there is one."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise SpecInvalid("data.sources: name at least one")


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
    transplant_share: float
    """Search crops whose target is cut out and stands on another picture, as if it had moved there."""
    colour: float
    grey_share: float
    blur_share: float
    rotation: float
    """Standard deviation, in degrees, of how far the target is turned in the search crop; its box is then that of a
    turned ellipse."""
    noise: float
    """Largest standard deviation of the added noise, in grey levels."""
    distractor_share: float
    occluder_share: float


class Precision(StrEnum):
    """In which numbers the network is run while it learns; weights and losses are float32 in any case."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclass(frozen=True, slots=True)
class FitRecipe:
    """Optimisation."""

    seed: int
    start: str
    """Checkpoint whose averaged weights the run begins with; `$NAME` is replaced from the environment. Empty: the
    backbone begins with its ImageNet weights and the rest with noise."""
    steps: int
    batch: int
    """Pairs of a step."""
    accumulate: int
    """Parts in which the batch is run one after the other, to save memory; it must divide `batch`."""
    precision: Precision
    workers: int
    """Processes that draw and decode pairs; 0: a thread of the run, which is enough for a set that fits into memory."""
    learning_rate: float
    backbone_rate: float
    """The backbone's learning rate as a share of the head's."""
    frozen_steps: int
    """Steps at the start in which the deep half of the backbone stays frozen; its shallow half always is."""
    warmup_steps: int
    decay_steps: int
    """Steps at the end in which the rate falls to zero as half a cosine; between warm-up and these it stays."""
    weight_decay: float
    gradient_clip: float
    ema_decay: float
    score_weight: float
    box_weight: float
    checkpoint_every: int
    snapshot_every: int
    """Steps between copies of the averaged weights that are kept (`average-00012000.pt`); 0 keeps none."""

    def __post_init__(self) -> None:
        if self.accumulate < 1 or self.batch % self.accumulate:
            raise SpecInvalid(f"accumulate must divide batch: {self.accumulate}, {self.batch}")
        if self.warmup_steps + self.decay_steps > self.steps:
            raise SpecInvalid(f"warmup_steps and decay_steps must fit into steps: {self}")


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
