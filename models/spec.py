"""ModelSpec: every constant of a tracker, once; the `spec` part of a package's model.json."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeVar, cast, get_type_hints

Spec = TypeVar("Spec")

MAX_CALIBRATION = 100.0
"""Of both numbers of a calibration. Steeper curves are steps."""


class SpecInvalid(ValueError):
    """A spec holds an unknown key, lacks one, or has a value out of range; the message names it."""


class Architecture(StrEnum):
    """Networks that `models.networks.build` knows."""

    SIAMFCPP_LIGHT = "siamfcpp_light"
    SIAMFCPP_TINY = "siamfcpp_tiny"
    SIAMFCPP_ALEXNET = "siamfcpp_alexnet"
    SIAMFCPP_GOOGLENET = "siamfcpp_googlenet"
    SIAMFCPP_SHUFFLENETV2_X0_5 = "siamfcpp_shufflenetv2_x0_5"
    SIAMFCPP_SHUFFLENETV2_X1_0 = "siamfcpp_shufflenetv2_x1_0"
    SIAMFCPP_TINYCONV = "siamfcpp_tinyconv"
    SIAMRPN_ALEXNET = "siamrpn_alexnet"
    SIAMRPN_UPCHANNEL = "siamrpn_upchannel"
    SIAMRPNPP_RESNET50 = "siamrpnpp_resnet50"
    SIAMRPNPP_MOBILENETV2 = "siamrpnpp_mobilenetv2"
    SIAMRPNPP_RESNET50_BRANCHES = "siamrpnpp_resnet50_branches"
    NANOTRACK_V1 = "nanotrack_v1"
    NANOTRACK_V2 = "nanotrack_v2"
    NANOTRACK_V3 = "nanotrack_v3"


class Family(StrEnum):
    """Conventions of a tracking loop: which pixels are cut, what the grid is, what a box's numbers mean."""

    LOCKON = "lockon"
    SIAMFCPP = "siamfcpp"
    """video_analyst"""
    SIAMRPN = "siamrpn"
    """pysot; NanoTrack keeps to the same conventions"""
    DASIAMRPN = "dasiamrpn"
    """DaSiamRPN"""
    SIAMRPN_PYTORCH = "siamrpn_pytorch"
    """huanglianghua/siamrpn-pytorch"""
    SIAMRPN_TF = "siamrpn_tf"
    """SiamRPN-TF"""
    SIAMRPNPP_MMTRACKING = "siamrpnpp_mmtracking"
    """mmtracking"""
    SIAMRPNPP_PYTORCH = "siamrpnpp_pytorch"
    """SiamRPN_plus_plus_PyTorch"""


class LostSearch(StrEnum):
    """Where a target is looked for while it is lost."""

    AROUND = "around"
    """The reported box stays where the target was seen last; the search goes round that place, in the end over all of
    the frame."""
    STAY = "stay"
    """As published: box and search follow the network wherever it points."""


@dataclass(frozen=True, slots=True)
class CropSpec:
    """How crops are cut: sizes in network pixels; both crops show the target at the same scale."""

    template_size: int
    search_size: int
    context_amount: float

    def __post_init__(self) -> None:
        _require(8 <= self.template_size <= self.search_size <= 1024, "crop sizes", self)
        _require(0 <= self.context_amount <= 2, "context_amount must be in 0..2", self)


@dataclass(frozen=True, slots=True)
class LoopSpec:
    """Constants of the tracking loop. `min_size`: the least width and height of its boxes, in frame pixels."""

    penalty_k: float
    window_influence: float
    size_lr: float
    min_size: float

    def __post_init__(self) -> None:
        _require(0 <= self.penalty_k <= 2, "penalty_k must be in 0..2", self)
        _require(0 <= self.window_influence <= 1, "window_influence must be in 0..1", self)
        _require(0 < self.size_lr <= 1, "size_lr must be in (0, 1]", self)
        _require(1 <= self.min_size <= 100, "min_size must be in 1..100", self)


@dataclass(frozen=True, slots=True)
class PresenceSpec:
    """Thresholds of the score (0..1) that move a target between its states.

    tracking -> uncertain below `leave`; uncertain -> tracking at `enter`. A score is low below `lost`, and below
    `fallen` times what the target scored lately (0: only below `lost`); -> lost after `lost_after_s` seconds of low
    scores, from which half of the time at others is taken off. lost -> reacquired after `reacquire_after` looks in a
    row that point to the same place, at `reacquire` or, with `fallen`, at a share of what the target scored before, at
    least `enter`."""

    lost: float
    fallen: float
    leave: float
    enter: float
    reacquire: float
    lost_after_s: float
    reacquire_after: int
    search: LostSearch

    def __post_init__(self) -> None:
        ordered = 0 <= self.lost <= self.leave <= self.enter <= self.reacquire <= 1
        _require(ordered, "0 <= lost <= leave <= enter <= reacquire <= 1", self)
        _require(0 <= self.fallen < 1, "fallen must be in 0..1, without 1", self)
        _require(0 < self.lost_after_s <= 60, "lost_after_s must be in (0, 60]", self)
        _require(self.reacquire_after >= 1, "reacquire_after must be at least 1", self)


@dataclass(frozen=True, slots=True)
class LongTermSpec:
    """A long-term tracker: while it has lost its target it looks at a larger region at the same scale.

    `hold`: below this score the target keeps its place and size. It is lost when the score falls below `hold`, and
    found when it rises above `found`; in between nothing changes. `window_influence` replaces the loop's own while
    lost. `judges_ranking`: lost and found go by the score after penalty and window. `free_place`: the place may leave
    the frame, only the reported box may not."""

    search_size: int
    hold: float
    found: float
    window_influence: float
    judges_ranking: bool
    free_place: bool

    def __post_init__(self) -> None:
        _require(0 <= self.hold <= self.found <= 1, "0 <= hold <= found <= 1", self)
        _require(0 <= self.window_influence <= 1, "window_influence must be in 0..1", self)
        _require(8 <= self.search_size <= 1024, "search_size must be in 8..1024", self)


@dataclass(frozen=True, slots=True)
class SmallTargetSpec:
    """Targets that cover less than `area_share` of their first frame are searched in a larger region from then on."""

    search_size: int
    area_share: float

    def __post_init__(self) -> None:
        _require(0 < self.area_share < 1, "area_share must be in (0, 1)", self)
        _require(8 <= self.search_size <= 1024, "search_size must be in 8..1024", self)


@dataclass(frozen=True, slots=True)
class MemorySpec:
    """Several templates: `length` of them, the first one kept for ever, the oldest other one replaced every `interval`
    frames. The score is (1 - share) times that of the first template plus share times the mean of the others'."""

    length: int
    interval: int
    share: float

    def __post_init__(self) -> None:
        _require(2 <= self.length <= 32, "length must be in 2..32", self)
        _require(self.interval >= 1, "interval must be at least 1", self)
        _require(0 <= self.share <= 1, "share must be in 0..1", self)


@dataclass(frozen=True, slots=True)
class SecondTemplateSpec:
    """A second template of the same frame, whose background keeps `background` of its contrast (`models.fading`).

    It follows, since it does not stay with what the target stood on; the plain one doubts it: the score is the lower
    one of theirs, and 0 where their boxes overlap by less than `agreement` (IoU)."""

    background: float
    agreement: float

    def __post_init__(self) -> None:
        _require(0 <= self.background < 1, "background must be in 0..1, without 1", self)
        _require(0 <= self.agreement <= 1, "agreement must be in 0..1", self)


@dataclass(frozen=True, slots=True)
class CalibrationSpec:
    """What a score means: see `models.calibration.probability`. Numbers of a logistic regression."""

    score: float
    offset: float

    def __post_init__(self) -> None:
        rule = f"score must be above 0 (a higher score is a better one), and at most {MAX_CALIBRATION:g}"
        _require(0 < self.score <= MAX_CALIBRATION, rule, self)
        limit = f"offset must be in {-MAX_CALIBRATION:g}..{MAX_CALIBRATION:g}"
        _require(abs(self.offset) <= MAX_CALIBRATION, limit, self)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Which network; `stride` is search pixels per cell of the score map.

    `channels`: width of the maps that are compared, one entry for each level. `tower`: one entry for each layer of the
    head's towers, whether batch norm follows it; empty where the architecture leaves no choice. `weighted`: levels are
    joined with learnt weights, else by their mean."""

    architecture: Architecture
    stride: int
    channels: tuple[int, ...]
    tower: tuple[bool, ...] = ()
    weighted: bool = False

    def __post_init__(self) -> None:
        _require(1 <= self.stride <= 64, "stride must be in 1..64", self)
        sound = bool(self.channels) and all(1 <= width <= 4096 for width in self.channels)
        _require(sound, "channels must be one number or more, each in 1..4096", self)


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything needed to rebuild a tracker from its weights."""

    family: Family
    network: NetworkSpec
    crop: CropSpec
    loop: LoopSpec
    presence: PresenceSpec
    long_term: LongTermSpec | None = None
    small_target: SmallTargetSpec | None = None
    memory: MemorySpec | None = None
    second_template: SecondTemplateSpec | None = None
    calibration: CalibrationSpec | None = None
    bf16: bool = False
    """Whether the weights were shown to follow as well in bfloat16 (`python -m tests.benchmarks.precisions`)."""
    as_marked: float = 0.0
    """How much of the difference between the marked box and the network's is given to its later boxes, 0..1
    (`models.marking`); 0, and no look at the first frame, in every published loop."""

    def __post_init__(self) -> None:
        stays = self.presence.search is LostSearch.STAY
        _require(self.long_term is None or stays, "a long-term tracker has presence.search = stay", self.presence)
        _require(0 <= self.as_marked <= 1, "as_marked must be in 0..1", self.as_marked)
        if self.second_template is not None:
            ours = self.family is Family.LOCKON and self.memory is None
            _require(ours, "second_template is for the family lockon, without a memory", self.family)

    @property
    def template_count(self) -> int:
        """How many templates a target has; the features of several are joined."""
        if self.memory is not None:
            return self.memory.length
        return 1 if self.second_template is None else 2

    @property
    def search_sizes(self) -> tuple[int, ...]:
        """Sides of the search crops that the tracker may cut; the usual one first. Each has a graph of its own."""
        others = [part.search_size for part in (self.long_term, self.small_target) if part is not None]
        return (self.crop.search_size, *others)

    def to_json(self) -> dict[str, Any]:
        """Plain data for model.json."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelSpec:
        """The spec in `data`; raises SpecInvalid for unknown or missing keys and for values out of range."""
        return spec_from_mapping(cls, data)


def spec_from_mapping(kind: type[Spec], data: Mapping[str, Any], where: str = "spec") -> Spec:
    """Builds a (nested) dataclass from plain data, strictly: unknown and missing keys are errors that say where."""
    if not isinstance(data, Mapping):
        raise SpecInvalid(f"{where}: expected a table, got {type(data).__name__}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    if unknown := sorted(set(data) - set(known)):
        raise SpecInvalid(f"{where}: unknown key {unknown[0]!r}; known are {', '.join(known)}")
    values = {key: _converted(hints[key], value, f"{where}.{key}") for key, value in data.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise SpecInvalid(f"{where}: {error}") from error


def _converted(hint: Any, value: Any, where: str) -> Any:
    if isinstance(hint, types.UnionType):  # a part that may be absent
        if value is None:
            return None
        (hint,) = (kind for kind in hint.__args__ if kind is not types.NoneType)
    if is_dataclass(hint):
        return spec_from_mapping(cast("type[Any]", hint), value, where)
    if isinstance(hint, types.GenericAlias) and hint.__origin__ is tuple:
        if not isinstance(value, list | tuple):
            raise SpecInvalid(f"{where}: expected a list, got {value!r}")
        return tuple(_converted(hint.__args__[0], item, where) for item in value)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        try:
            return hint(value)
        except ValueError as error:
            raise SpecInvalid(f"{where}: {value!r} is none of {', '.join(hint)}") from error
    if hint is float and type(value) is int:
        return float(value)
    if isinstance(hint, type) and type(value) is not hint:
        raise SpecInvalid(f"{where}: expected {hint.__name__}, got {value!r}")
    return value


def _require(condition: bool, rule: str, spec: object) -> None:
    if not condition:
        raise SpecInvalid(f"{rule}: {spec}")
