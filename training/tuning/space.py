"""What is searched: the three constants of the tracking loop, each over a range with a step."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import asdict, astuple, dataclass, replace

import numpy as np

from models.spec import LoopSpec, ModelSpec, SpecInvalid


class SpaceInvalid(ValueError):
    """A range that cannot be searched; the message names it."""


@dataclass(frozen=True, slots=True)
class Range:
    """From `low` to `high`, both included, in steps."""

    low: float
    high: float
    step: float

    def __post_init__(self) -> None:
        # Values have six decimals; this way round, NaN is refused, too.
        if not (0 <= self.low <= self.high < math.inf and 1e-6 <= self.step < math.inf):
            raise SpaceInvalid(f"{self.low:g}:{self.high:g}:{self.step:g} is no range LOW:HIGH:STEP")

    @classmethod
    def parsed(cls, text: str) -> Range:
        """LOW:HIGH:STEP, or one number, which is then not searched."""
        try:
            numbers = [float(part) for part in text.split(":")]
        except ValueError as error:
            raise SpaceInvalid(f"{text!r} is neither LOW:HIGH:STEP nor a number") from error
        if len(numbers) == 1:
            return cls(numbers[0], numbers[0], 1.0)
        if len(numbers) != 3:
            raise SpaceInvalid(f"{text!r} is neither LOW:HIGH:STEP nor a number")
        return cls(*numbers)

    @property
    def values(self) -> list[float]:
        """Every value, as short as it is written."""
        count = int(np.floor((self.high - self.low) / self.step + 1e-9)) + 1
        return [round(self.low + self.step * number, 6) for number in range(count)]


@dataclass(frozen=True, slots=True)
class Constants:
    """One point of the space."""

    penalty_k: float
    window_influence: float
    size_lr: float

    @classmethod
    def of(cls, loop: LoopSpec) -> Constants:
        """Those of a model."""
        return cls(loop.penalty_k, loop.window_influence, loop.size_lr)

    @property
    def name(self) -> str:
        """For a folder, in the way that pysot's search names its own."""
        return f"pk-{self.penalty_k:g}_wi-{self.window_influence:g}_lr-{self.size_lr:g}"

    def applied(self, spec: ModelSpec) -> ModelSpec:
        """The spec with these constants."""
        return replace(spec, loop=replace(spec.loop, **asdict(self)))


@dataclass(frozen=True, slots=True)
class Space:
    """The three ranges; the defaults of penalty and window are those of pysot's search."""

    penalty_k: Range = Range(0.05, 0.5, 0.05)
    window_influence: Range = Range(0.1, 0.8, 0.05)
    size_lr: Range = Range(0.2, 0.8, 0.05)

    def __post_init__(self) -> None:
        axes = (self.penalty_k, self.window_influence, self.size_lr)
        lowest, highest = (Constants(*(axis.values[end] for axis in axes)) for end in (0, -1))
        for constants in (lowest, highest):
            try:
                LoopSpec(**asdict(constants), min_size=1)
            except SpecInvalid as error:
                raise SpaceInvalid(f"no model can have these constants: {error}") from error

    def holds(self, constants: Constants) -> bool:
        """Whether they are a point of the grid."""
        axes = (self.penalty_k, self.window_influence, self.size_lr)
        return all(value in axis.values for value, axis in zip(astuple(constants), axes, strict=True))

    def points(self) -> Iterator[Constants]:
        """Every point of the grid."""
        axes = (self.penalty_k.values, self.window_influence.values, self.size_lr.values)
        return itertools.starmap(Constants, itertools.product(*axes))
