"""ModelSpec: every constant of a tracker, once; the `spec` part of a package's model.json."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from enum import StrEnum
from typing import Any, TypeVar, cast, get_type_hints

Spec = TypeVar("Spec")


class SpecInvalid(ValueError):
    """A spec holds an unknown key, lacks one, or has a value out of range; the message names it."""


class Architecture(StrEnum):
    """Networks that `models.networks.build` knows."""

    SIAMFCPP_LIGHT = "siamfcpp_light"


class Family(StrEnum):
    """Tracking loops: what differs in crop rule, decoding and box convention."""

    SIAMFCPP = "siamfcpp"


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
    """Constants of the tracking loop."""

    penalty_k: float
    window_influence: float
    size_lr: float
    min_size: float = 4.0

    def __post_init__(self) -> None:
        _require(0 <= self.penalty_k <= 2, "penalty_k must be in 0..2", self)
        _require(0 <= self.window_influence <= 1, "window_influence must be in 0..1", self)
        _require(0 < self.size_lr <= 1, "size_lr must be in (0, 1]", self)


@dataclass(frozen=True, slots=True)
class PresenceSpec:
    """Thresholds of the score (0..1) and frame counts that move a target between its states.

    tracking -> uncertain below `leave`; uncertain -> tracking at `enter`; -> lost after `lost_after` frames in a row
    below `lost`; lost -> reacquired after `reacquire_after` frames in a row at `reacquire` or more."""

    lost: float
    leave: float
    enter: float
    reacquire: float
    lost_after: int
    reacquire_after: int

    def __post_init__(self) -> None:
        ordered = 0 <= self.lost <= self.leave <= self.enter <= self.reacquire <= 1
        _require(ordered, "0 <= lost <= leave <= enter <= reacquire <= 1", self)
        _require(self.lost_after >= 1 and self.reacquire_after >= 1, "frame counts must be at least 1", self)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """Which network, and its width; `stride` is search pixels per cell of the score map."""

    architecture: Architecture
    stride: int
    channels: int
    tower_layers: int


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Everything needed to rebuild a tracker from its weights."""

    family: Family
    network: NetworkSpec
    crop: CropSpec
    loop: LoopSpec
    presence: PresenceSpec

    @property
    def map_size(self) -> int:
        """Cells along a side of the score map."""
        return self.crop.search_size // self.network.stride

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
    if is_dataclass(hint):
        return spec_from_mapping(cast("type[Any]", hint), value, where)
    if isinstance(hint, types.GenericAlias) and hint.__origin__ is tuple:
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
