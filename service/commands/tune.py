"""`lockon tune`: which constants of the tracking loop suit a model best, and what that is worth elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.benchmark import progress
from service.commands.failures import CommandFailed, reported, require_train_extra, silence_opencv

if TYPE_CHECKING:
    from training.tuning.search import Judged, Tuning
    from training.tuning.space import Space

_RANGE = "LOW:HIGH:STEP, or one number"

BenchmarkName = Annotated[str, typer.Option("--benchmark", help="As in `lockon evaluate`; with published truth.")]
Root = Annotated[Path, typer.Option("--root", help="Where its data set lies.")]
Split = Annotated[str | None, typer.Option("--split", help="Another split of it, as val.")]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Name of a model, or path of a package's folder.")]
MethodName = Annotated[str, typer.Option("--method", help="grid, random or tpe.")]
Trials = Annotated[int, typer.Option("--trials", min=1, help="Trials in all, those of earlier calls included.")]
Penalty = Annotated[str | None, typer.Option("--penalty", help=f"penalty_k: {_RANGE}. [0.05:0.5:0.05]")]
Influence = Annotated[str | None, typer.Option("--window", help=f"window_influence: {_RANGE}. [0.1:0.8:0.05]")]
Rate = Annotated[str | None, typer.Option("--rate", help=f"size_lr: {_RANGE}. [0.2:0.8:0.05]")]
Jobs = Annotated[int, typer.Option("--jobs", "-j", min=1, help="So many trials at a time.")]
Seed = Annotated[int, typer.Option("--seed", help="Of the random choices.")]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder of the search, which goes on from there.")]
Write = Annotated[
    Path | None, typer.Option("--write", help="Write a package with the best constants here.", file_okay=False)
]


def tune(
    root: Root,
    benchmark: BenchmarkName = "folder",
    split: Split = None,
    model: Model = None,
    method: MethodName = "tpe",
    trials: Trials = 50,
    penalty: Penalty = None,
    window: Influence = None,
    rate: Rate = None,
    jobs: Jobs = 1,
    seed: Seed = 0,
    out: Out = Path("tuning"),
    write: Write = None,
) -> None:
    """Search the constants of the tracking loop: scale penalty, window influence, rate of the size.

    Half of the sequences (every other one by name) are searched on; the others show what the winner is worth where
    nothing was chosen. A search that was stopped goes on in its folder.
    """
    with reported():
        require_train_extra("tune")
    silence_opencv()
    from models.package import DEFAULT_MODEL, DUMMY, PackageInvalid
    from models.spec import SpecInvalid
    from training.benchmarks.running import RunRefused
    from training.benchmarks.sequences import BENCHMARKS, read_benchmark
    from training.datasets.tracks import DataInvalid
    from training.evaluation.sequences import SequenceInvalid
    from training.tuning.search import Method, Tuning, TuningRefused, judge, search
    from training.tuning.space import SpaceInvalid
    from training.tuning.winner import write_tuned

    errors = (DataInvalid, SequenceInvalid, PackageInvalid, SpecInvalid, RunRefused, SpaceInvalid, TuningRefused)
    with reported(*errors):
        _require_known(benchmark, list(BENCHMARKS))
        _require_known(method, list(Method))
        if write is not None and model == DUMMY:
            raise CommandFailed(f"{DUMMY} is no package that could be written")
        _, sequences = read_benchmark(BENCHMARKS[benchmark], root, split)
        space = _space(penalty, window, rate)
        tuning = Tuning(model or DEFAULT_MODEL, benchmark, sequences, space, Method(method), out, seed)
        with progress(trials) as step:
            best = search(tuning, trials, jobs, lambda value: step(f"{value:.4f}"))
        before, after = (judge(tuning, constants, jobs) for constants in (tuning.present, best))
        _show(tuning, before, after)
        if after.tuning <= before.tuning:
            raise CommandFailed("none of the trials is better than the constants that the model has")
        if write is not None:
            write_tuned(tuning, before, after, write)
            typer.echo(f"{write}: the model with these constants", err=True)


def _require_known(name: str, known: list[str]) -> None:
    if name not in known:
        raise CommandFailed(f"unknown: {name!r}; known are {', '.join(known)}")


def _space(penalty: str | None, window: str | None, rate: str | None) -> Space:
    from training.tuning.space import Range, Space

    given = {"penalty_k": penalty, "window_influence": window, "size_lr": rate}
    return Space(**{name: Range.parsed(text) for name, text in given.items() if text is not None})


def _show(tuning: Tuning, before: Judged, after: Judged) -> None:
    from rich.table import Table

    from service.commands.showing import show

    tuned, held_out = tuning.halves
    table = Table(title=f"{tuning.model}: {tuning.objective}", title_justify="left")
    halves = (f"tuning half ({len(tuned)})", f"held-out half ({len(held_out)})")
    for heading in ("constants", "penalty", "window", "rate", *halves):
        table.add_column(heading, justify="left" if heading == "constants" else "right")
    for name, judged in (("before", before), ("best", after)):
        found = judged.constants
        numbers = (found.penalty_k, found.window_influence, found.size_lr)
        table.add_row(name, *(f"{each:g}" for each in numbers), f"{judged.tuning:.4f}", f"{judged.held_out:.4f}")
    show([table])
