"""A recipe: everything that decides a training run, read strictly from TOML into frozen dataclasses."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from models.spec import Family, ModelSpec, SpecInvalid, spec_from_mapping
from models.variants import VARIANTS
from training.augment_recipe import (
    Augmentation,
    AugmentRecipe,
    Motion,
    PysotAugment,
    PysotDisturbance,
    VideoAnalystAugment,
    augmentation,
)
from training.fit_recipe import FitRecipe, JudgeRecipe, Precision, StagedFitRecipe
from training.limits import require_at_least, require_shares

__all__ = [
    "AugmentRecipe", "Augmentation", "DataRecipe", "FitRecipe", "JudgeRecipe", "Motion", "Precision", "PysotAugment",
    "PysotDisturbance", "Recipe", "SourceRecipe", "StagedFitRecipe", "VideoAnalystAugment", "read_recipe",
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
    largest_aspect: float = 0.0
    """Views whose target is so many times longer than wide, or more, are left out; 0: none
    (video_analyst, data/utils/filter_box.py: 10, the only one of its conditions that has an effect)."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise SpecInvalid("data.sources: name at least one")
        require_at_least(0, self, "data", ("min_side", "source_power", "largest_aspect"))
        require_shares(self, "data", ("track_share", "negative_share", "same_class_share"))


@dataclass(frozen=True, slots=True)
class Recipe:
    """One training run of one network."""

    name: str
    model: ModelSpec
    """In TOML also `{ variant = "siamrpnpp_r50" }`: a published configuration by its name."""
    data: DataRecipe
    augment: Augmentation
    """Ours, or that of a published code base."""
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
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SpecInvalid(f"{path}: is no TOML file: {error}") from error
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
        augmentation(data["augment"], f"{where}.augment"),
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
