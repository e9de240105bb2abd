"""How pairs are disturbed, read from a recipe: our own way, or exactly that of a published code base."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models.spec import SpecInvalid, spec_from_mapping
from training.limits import require_at_least, require_shares

_SHARES = (
    "low_resolution_share", "background_share", "transplant_share", "grey_share", "blur_share", "distractor_share",
    "occluder_share", "flip_share", "deformed_share",
)  # fmt: skip
_AMOUNTS = ("shift", "scale", "aspect", "template_jitter", "colour", "rotation", "noise")


class Motion(StrEnum):
    """How targets are moved and scaled in search crops."""

    MIXED = "mixed"
    """Half of them little, half of them anywhere within `shift`; scales and shapes by a normal distribution."""
    STRETCHED = "stretched"
    """Anywhere within `shift`; width and height each for itself between 1 - `scale` and 1 + `scale` times smaller."""
    ZOOMED = "zoomed"
    """Anywhere within `shift` and whole in the crop; between 1 / (1 + `scale`) and 1 + `scale` times smaller."""


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
    flip_share: float = 0.5
    deformed_share: float = 0.0
    """Targets of mixed motion whose shape and angle change three times as much as those of others."""

    def __post_init__(self) -> None:
        require_shares(self, "augment", _SHARES)
        require_at_least(0, self, "augment", _AMOUNTS)
        if self.low_resolution_share:
            require_at_least(1, self, "augment", ("low_resolution_factor",))


class Published(StrEnum):
    """Code bases whose crops and disturbances can be had exactly."""

    PYSOT = "pysot"
    MMTRACKING = "mmtracking"
    """pysot's, but that a crop's last pixel is not the last one of its region."""
    VIDEO_ANALYST = "video_analyst"


@dataclass(frozen=True, slots=True)
class PysotDisturbance:
    """Of template or search crops (pysot, datasets/augmentation.py)."""

    shift: float
    """Largest shift of the region in x and in y, in pixels of the stored 511 px crop."""
    scale: float
    """Width and height of the region, each for itself, are 1 - scale to 1 + scale times those of the crop."""
    colour: float
    """Probability that the channels are shifted along the principal axes of ImageNet's colours."""
    blur: float
    """Probability of a blur by a cross of 5 to 45 pixels."""

    def __post_init__(self) -> None:
        if self.shift < 0 or not 0 <= self.scale < 1 or not 0 <= self.colour <= 1 or not 0 <= self.blur <= 1:
            raise SpecInvalid(f"augment: shift from 0, scale, colour and blur in 0..1: {self}")


@dataclass(frozen=True, slots=True)
class PysotAugment:
    """As in pysot or mmtracking."""

    after: Published
    grey_share: float
    """Of pairs: template and search crop lose their colours together."""
    template: PysotDisturbance
    search: PysotDisturbance

    def __post_init__(self) -> None:
        require_shares(self, "augment", ("grey_share",))


@dataclass(frozen=True, slots=True)
class VideoAnalystAugment:
    """As in video_analyst, data/utils/crop_track_pair.py: crops are moved and scaled, and nothing else."""

    after: Published
    shift: float
    """Largest shift of the target in x and in y, as a share of half the search window."""
    scale: float
    """The target is between 1 / (1 + scale) and 1 + scale times smaller in its search crop than it would be."""
    template_shift: float
    template_scale: float

    def __post_init__(self) -> None:
        require_at_least(0, self, "augment", ("shift", "scale", "template_shift", "template_scale"))


Augmentation = AugmentRecipe | PysotAugment | VideoAnalystAugment


def augmentation(table: Any, where: str) -> Augmentation:
    """The table `[augment]`: with a key `after` the code base's way, else ours. Raises SpecInvalid."""
    if not isinstance(table, dict) or "after" not in table:
        return spec_from_mapping(AugmentRecipe, table, where)
    if table["after"] not in list(Published):
        raise SpecInvalid(f"{where}.after: {table['after']!r} is none of {', '.join(Published)}")
    if table["after"] == Published.VIDEO_ANALYST:
        return spec_from_mapping(VideoAnalystAugment, table, where)
    return spec_from_mapping(PysotAugment, table, where)
