"""The model with the constants that were found."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from models.package import ModelPackage, find_package, write_package
from training.tuning.search import Judged, Tuning


def write_tuned(tuning: Tuning, before: Judged, after: Judged, folder: Path) -> ModelPackage:
    """Writes the package with the best constants, and notes in its origin what they were chosen by and are worth.

    Its scores are dropped: they are those of the constants before. Raises PackageInvalid where the folder is taken."""
    package = find_package(tuning.model)
    note = {
        "benchmark": tuning.benchmark,
        "metric": tuning.objective,
        "method": str(tuning.method),
        "tuning_half": [sequence.name for sequence in tuning.halves[0]],
        "before": asdict(before),
        "after": asdict(after),
    }
    return write_package(
        folder,
        package.name,
        after.constants.applied(package.spec),
        package.files,
        {**package.origin, "tuned": note},
        {},
        version=package.version,
    )
