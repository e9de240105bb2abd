"""A recipe: everything that decides a training run, read strictly from TOML into frozen dataclasses."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from models.spec import Family, ModelSpec, SpecInvalid, spec_from_mapping
from models.variants import VARIANTS
from training.fit_recipe import FitRecipe, JudgeRecipe, Precision, StagedFitRecipe

__all__ = [
    "AugmentRecipe", "DataRecipe", "FitRecipe", "JudgeRecipe", "Motion", "Precision", "Recipe", "SourceRecipe",
    "StagedFitRecipe", "read_recipe",
]  # fmt: skip


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


class Motion(StrEnum):
    """How targets are moved and scaled in search crops."""

    MIXED = "mixed"
    """Half of them little, half of them anywhere within `shift`; scales and shapes by a normal distribution."""
    STRETCHED = "stretched"
    """Anywhere within `shift`; width and height each for itself between 1 - `scale` and 1 + `scale` times smaller
    (pysot, datasets/augmentation.py)."""
    ZOOMED = "zoomed"
    """Anywhere within `shift`, and between 1 / (1 + `scale`) and 1 + `scale` times smaller, but whole within the crop
    (video_analyst, data/utils/crop_track_pair.py)."""


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
    motion: Motion = Motion.MIXED


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run of one network."""

    name: str
    model: ModelSpec
    """In TOML also `{ variant = "siamrpnpp_r50" }`: a published configuration by its name."""
    data: DataRecipe
    augment: AugmentRecipe
    fit: FitRecipe | StagedFitRecipe
    """Ours for networks of our own, staged for published ones."""
    judge: JudgeRecipe | None = None

    @property
    def trained_model(self) -> ModelSpec:
        """The model as it learns: with search crops of the size that is trained on."""
        if not isinstance(self.fit, StagedFitRecipe):
            return self.model
        crop = replace(self.model.crop, search_size=self.fit.search_size)
        return replace(self.model, crop=crop, long_term=None, small_target=None, memory=None)

    def to_json(self) -> dict[str, Any]:
        """Plain data, saved beside every checkpoint."""
        # Through text, so that enums become the plain strings that a checkpoint may hold.
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file; raises models.spec.SpecInvalid naming the key that is wrong."""
    where = path.name
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    parts = {field.name for field in fields(Recipe)}
    if unknown := sorted(set(data) - parts):
        raise SpecInvalid(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(sorted(parts))}")
    if missing := sorted(parts - set(data) - {"judge"}):
        raise SpecInvalid(f"{where}: {missing[0]!r} is missing")
    if not isinstance(data["name"], str):
        raise SpecInvalid(f"{where}.name: expected str, got {data['name']!r}")
    model = _model(data["model"], f"{where}.model")
    kind: type[FitRecipe | StagedFitRecipe] = FitRecipe if model.family is Family.LOCKON else StagedFitRecipe
    judge = spec_from_mapping(JudgeRecipe, data["judge"], f"{where}.judge") if "judge" in data else None
    return Recipe(
        data["name"],
        model,
        spec_from_mapping(DataRecipe, data["data"], f"{where}.data"),
        spec_from_mapping(AugmentRecipe, data["augment"], f"{where}.augment"),
        spec_from_mapping(kind, data["fit"], f"{where}.fit"),
        judge,
    )


def _model(table: Any, where: str) -> ModelSpec:
    """A whole spec, or a published configuration's."""
    if not isinstance(table, dict) or "variant" not in table:
        return spec_from_mapping(ModelSpec, table, where)
    if table["variant"] not in VARIANTS or len(table) > 1:
        raise SpecInvalid(f"{where}: variant alone, one of {', '.join(VARIANTS)}; got {table}")
    return VARIANTS[table["variant"]]
