"""VOT's result files: one region or code a line, and one confidence a line."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from enum import IntEnum
from pathlib import Path

import numpy as np

from training.benchmarks.regions import Region, is_code
from training.datasets.textfiles import read_lines
from training.datasets.tracks import DataInvalid


class Code(IntEnum):
    """What stands in place of a region."""

    UNKNOWN = 0
    INITIALIZED = 1
    FAILED = 2


Trajectory = Sequence[Region]
"""One region or code for each frame."""


def code(value: Code) -> Region:
    """The line of a file that says it."""
    return np.array([float(value)])


def is_a(region: Region, value: Code) -> bool:
    """Whether it is this code."""
    return is_code(region) and region[0] == value


def read_trajectory(path: Path) -> list[Region]:
    """The lines of a result or truth file; a region with NaN in it is an unknown one. Raises DataInvalid."""
    trajectory = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            region = np.array([float(word) for word in line.replace(",", " ").split()])
        except ValueError as error:
            raise DataInvalid(f"{path}, line {number}: {line!r} is no row of numbers") from error
        if len(region) != 1 and (len(region) < 4 or len(region) % 2):
            raise DataInvalid(f"{path}, line {number}: {len(region)} numbers; expected 1, 4, or 6 and more")
        trajectory.append(code(Code.UNKNOWN) if np.isnan(region).any() else region)
    return trajectory


def write_trajectory(path: Path, trajectory: Iterable[Region]) -> None:
    """One line a frame, with four decimals; codes as whole numbers."""
    rows = (str(int(row[0])) if is_code(row) else ",".join(f"{value:.4f}" for value in row) for row in trajectory)
    path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def read_confidences(path: Path, count: int) -> list[float]:
    """(count,) confidences; NaN where a line is empty, as the first one is. Raises DataInvalid."""
    if not path.is_file():
        raise DataInvalid(f"{path}: is missing; long-term results are scored by the tracker's confidence in each frame")
    lines = path.read_text(encoding="utf-8").splitlines()
    lines += [""] * (count - len(lines))
    if len(lines) != count:
        raise DataInvalid(f"{path}: {len(lines)} confidences for {count} frames")
    try:
        return [float(line) if line.strip() else math.nan for line in lines]
    except ValueError as error:
        raise DataInvalid(f"{path}: {error}") from error
