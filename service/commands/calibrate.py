"""`lockon calibrate`: lets a model's score mean the probability that its box is on the target."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.failures import reported, require_train_extra, silence_opencv

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.package import ModelPackage
    from models.spec import CalibrationSpec
    from models.tracker import Tracker
    from training.calibration import Samples
    from training.evaluation.sequences import Clip

PAIRS = 2000
TUNING, HELD_OUT, ABSENCES, MADE = "tuning half", "held-out half", "sequences with absences", "absences made by rule"
MIN_SIDE = 14.0
"""Of a thing in a pair, in pixels."""


def calibrate(
    model: Annotated[str, typer.Argument(help="Name of a model, or path of a package's folder.")],
    folder: Annotated[
        Path,
        typer.Option("--folder", help="Folder of sequences: one half is for the fit, the other for the judgement."),
    ],
    shards: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Data set to draw pairs from, with and without the target; for the judgement only."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Write the calibrated package here; it may be the model's own folder."),
    ] = None,
) -> None:
    """Fit the probability that a box is on its target to what the model says, and tell how good it is.

    The fit sees every other sequence, and clips made of them in which the target disappears; the table judges both
    halves by the calibration error before and after, and by how well the score tells targets that are there from those
    that are absent (area under the ROC curve): also in sequences with real absences alone, in the made clips alone, and
    with --data for pairs of which every other one shows something else."""
    with reported():
        require_train_extra("calibrate")
    silence_opencv()
    from models.package import PackageInvalid, find_package, load_tracker
    from training.calibration import fit
    from training.datasets.tracks import DataInvalid
    from training.evaluation.sequences import SequenceInvalid

    with reported(PackageInvalid, SequenceInvalid, DataInvalid, ValueError):
        package = find_package(model)
        tracker = load_tracker(model)
        samples = _samples(tracker, _clips(folder), shards)
        found = fit(samples[TUNING].following())
        if out is not None:
            _write(package, found, out)
    _show(samples, found)


def _clips(folder: Path) -> dict[tuple[str, str], list[Clip]]:
    """The clips of each half, by kind: sequences with absences, those without, and what is made of the latter."""
    import numpy as np

    from training.evaluation.absences import made_clips
    from training.evaluation.report import Halves
    from training.evaluation.sequences import read_sequences

    sequences = read_sequences(folder)
    halves = Halves.of(sequence.name for sequence in sequences)
    clips: dict[tuple[str, str], list[Clip]] = {}
    for half, names in ((TUNING, halves.tuning), (HELD_OUT, halves.held_out)):
        films = [each for each in sequences if each.name in names]
        clips[half, ABSENCES] = [film for film in films if np.isnan(film.truth).any()]
        clips[half, "others"] = [film for film in films if not np.isnan(film.truth).any()]
        clips[half, MADE] = [*made_clips(films)]
    return clips


def _samples(tracker: Tracker, clips: Mapping[tuple[str, str], list[Clip]], shards: Path | None) -> dict[str, Samples]:
    """By the rows of the table. The fit changes no order, so that the rows for absences may have both halves."""
    from rich.console import Console
    from rich.progress import Progress

    from training.calibration import Samples, followed, paired
    from training.datasets.sources import DataSet, read_source

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("following", total=sum(map(len, clips.values())))
        parts = {key: followed(tracker, part, lambda: progress.advance(task)) for key, part in clips.items()}
    found = {
        row: Samples.joined(part for key, part in parts.items() if row in key)
        for row in (TUNING, HELD_OUT, ABSENCES, MADE)
    }
    if shards is not None:
        found["pairs of the data"] = paired(tracker, DataSet.of(read_source(shards), MIN_SIDE), PAIRS)
    return found


def _write(package: ModelPackage, found: CalibrationSpec, out: Path) -> None:
    from models.package import write_package

    spec = replace(package.spec, calibration=found)
    write_package(out, package.name, spec, dict(package.files), package.origin, package.scores, version=package.version)


def _show(samples: Mapping[str, Samples], found: CalibrationSpec) -> None:
    from rich.console import Console
    from rich.table import Table

    from training.calibration import area_under_curve, calibration_error

    table = Table("", "frames", "absent", "error of the score", "of the probability", "AUROC on target", "AUROC absent")
    for name, part in samples.items():
        following = part.following()
        probabilities = following.probabilities(found)
        table.add_row(
            name,
            str(len(following.score)),
            str(int(following.absent.sum())),
            f"{calibration_error(following.score, following.on_target):.3f}",
            f"{calibration_error(probabilities, following.on_target):.3f}",
            f"{area_under_curve(following.score, following.on_target):.3f}",
            f"{area_under_curve(-following.score, following.absent):.3f}",
        )
    console = Console(width=None if Console().is_terminal else 120)
    console.print(table)
    console.print(f"probability = 1 / (1 + exp(-({found.score:g} logit(score) + {found.offset:g})))")
