"""A checkpoint file -> which variant it is, and the network with its weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.importing.checkpoints import State, read_state
from models.importing.origins import ORIGINS, origin_of, recognised
from models.importing.report import fit
from models.networks import build
from models.variants import VARIANTS


class ImportRefused(ValueError):
    """The weights are not those of the variant, or the package can't be written; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network with foreign weights. `siblings`: variants of the same weights with other constants."""

    variant: str
    siblings: tuple[str, ...]
    network: nn.Module


def load_network(path: Path, variant: str | None = None) -> Loaded:
    """The network in a checkpoint, ready to run; of the variant that its names and shapes tell, if none is given.

    Raises CheckpointInvalid, and ImportRefused unless every array has its place and every place its array."""
    state = read_state(path)
    chosen = variant or _found(path, state)
    network = build(VARIANTS[chosen])
    network.load_state_dict(_fitting(path, state, chosen, network.state_dict()))
    return Loaded(chosen, tuple(_siblings(state, chosen)), network.eval())


def _found(path: Path, state: State) -> str:
    """The variant that a state dict is."""
    variant = recognised(state)
    if variant is not None:
        return variant
    some = ", ".join(list(state)[:6])
    raise ImportRefused(
        f"{path}: no known tracker has these weights ({len(state)} arrays: {some}, ...). Known are those of"
        f" {', '.join(origin.code for origin in ORIGINS)}; with --as VARIANT the import says what does not fit"
    )


def _fitting(path: Path, state: State, variant: str, fresh: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under our names, for `load_state_dict`. fresh: the new network's state."""
    try:
        converted = origin_of(variant).names.convert(state, VARIANTS[variant])
    except ValueError as error:  # arrays whose parts change places, and that do not divide as they should
        raise ImportRefused(f"{path} is not {variant}{_hint(state, variant)}: {error}") from error
    report = fit({name: tuple(tensor.shape) for name, tensor in fresh.items()}, converted, state)
    if not report.complete:
        raise ImportRefused(f"{path} is not {variant}{_hint(state, variant)}\n{report.text()}")
    _require_finite(path, converted)
    given = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in converted.items()}
    # A counter that an old torch did not write starts at 0, as in a new network.
    return {name: given[name].to(tensor.dtype) if name in given else tensor for name, tensor in fresh.items()}


def _hint(state: State, variant: str) -> str:
    """For weights of another variant: which."""
    other = recognised(state)
    if other is None or VARIANTS[other].network == VARIANTS[variant].network:
        return ""
    wrong = "" if origin_of(other) is origin_of(variant) else "wrong family, "
    return f": {wrong}its names and shapes are those of {other} ({origin_of(other).code})"


def _require_finite(path: Path, converted: Mapping[str, NDArray[Any]]) -> None:
    broken = [name for name, array in converted.items() if not np.isfinite(array).all()]
    if broken:
        some = ", ".join(broken[:6])
        raise ImportRefused(f"{path}: {len(broken)} arrays hold numbers that are not finite: {some}")


def _siblings(state: State, variant: str) -> Iterator[str]:
    """Other variants that take the same state dict as it is."""
    spec = VARIANTS[variant]
    names = origin_of(variant).names.convert(state, spec).keys()
    for other, other_spec in VARIANTS.items():
        same_network = other != variant and other_spec.network == spec.network
        if same_network and origin_of(other).names.convert(state, other_spec).keys() == names:
            yield other
