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
    that are absent (area under the ROC curve)."""
    with reported():
        require_train_extra()
    silence_opencv()
    from models.package import PackageInvalid, find_package, load_tracker
    from training.calibration import fit
    from training.datasets.tracks import DataInvalid
    from training.evaluation.sequences import SequenceInvalid

    with reported(PackageInvalid, SequenceInvalid, DataInvalid, ValueError):
        package = find_package(model)
        tracker = load_tracker(model)
        samples = _samples(tracker, _clips(folder), shards)
        found = fit(samples["tuning half"].following())
        if out is not None:
            _write(package, found, out)
    _show(samples, found)


def _clips(folder: Path) -> dict[str, list[Clip]]:
    """The clips of each half: the sequences, and what is made of them."""
    from training.evaluation.absences import made_clips
    from training.evaluation.report import Halves
    from training.evaluation.sequences import read_sequences

    sequences = read_sequences(folder)
    halves = Halves.of(sequence.name for sequence in sequences)
    parts = {"tuning half": halves.tuning, "held-out half": halves.held_out}
    films = {name: [each for each in sequences if each.name in half] for name, half in parts.items()}
    return {name: [*part, *made_clips(part)] for name, part in films.items()}


def _samples(tracker: Tracker, clips: Mapping[str, list[Clip]], shards: Path | None) -> dict[str, Samples]:
    from rich.console import Console
    from rich.progress import Progress

    from training.calibration import followed, paired
    from training.datasets.sources import DataSet, read_source

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("following", total=sum(map(len, clips.values())))
        found = {name: followed(tracker, part, lambda: progress.advance(task)) for name, part in clips.items()}
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
