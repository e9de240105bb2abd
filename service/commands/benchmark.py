"""`lockon evaluate --benchmark`: a published benchmark from its data set to tables, curves and files for its server."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from service.commands.failures import CommandFailed, reported, require_train_extra

if TYPE_CHECKING:
    from training.benchmarks.running import OpenTracker
    from training.benchmarks.scoring import BenchmarkScores
    from training.benchmarks.sequences import Benchmark, BenchmarkSequence

ARCHIVES = ("got10k", "trackingnet")
"""Benchmarks whose server takes a zip."""


@dataclass(frozen=True, slots=True)
class BenchmarkRequest:
    """What the user has asked for."""

    benchmark: str
    root: Path
    split: str | None
    model: str | None
    through: str | None
    """a server's address: its tracker is measured, not one in this process"""
    out: Path
    jobs: int
    only: Sequence[str]
    from_boxes: Path | None
    """a folder of results: nothing is run"""
    against: Sequence[Path]
    """result folders of other trackers, shown beside"""


def evaluate_benchmark(request: BenchmarkRequest) -> None:
    """Runs what has no results yet, scores everything, and writes the report; typer.Exit on the user's errors."""
    with reported():
        _require_libraries(request.through)
    from models.package import PackageInvalid
    from training.benchmarks.running import BenchmarkRun, RunRefused, run_benchmark
    from training.benchmarks.sequences import BENCHMARKS, read_benchmark
    from training.datasets.tracks import DataInvalid
    from training.evaluation.sequences import SequenceInvalid

    with reported(DataInvalid, SequenceInvalid, PackageInvalid, RunRefused, *_through_errors()):
        benchmark = BENCHMARKS.get(request.benchmark)
        if benchmark is None:
            raise CommandFailed(f"no benchmark {request.benchmark!r}; known are {', '.join(BENCHMARKS)}")
        split, sequences = read_benchmark(benchmark, request.root, request.split, request.only)
        place = request.out / "-".join(filter(None, (benchmark.name, split)))
        if request.from_boxes is not None:
            folder = request.from_boxes.resolve()
            place.mkdir(parents=True, exist_ok=True)
        else:
            name, identity, open_tracker = _tracker(request.model, request.through)
            folder = place / "results" / name
            run = BenchmarkRun(benchmark, sequences, folder, identity)
            with progress(len(sequences)) as step:
                ran = run_benchmark(run, open_tracker, request.jobs, step)
            typer.echo(f"{folder}: {ran} sequences run, {len(sequences) - ran} done before", err=True)
        folders = list(dict.fromkeys([folder.resolve(), *(path.resolve() for path in request.against)]))
        if benchmark.name in ARCHIVES and not request.only and not any(each.has_truth for each in sequences):
            _archive(benchmark, sequences, place, folder)
        _report(benchmark, split, sequences, place, folders)


def _require_libraries(through: str | None) -> None:
    require_train_extra("evaluate --benchmark")
    if through is not None and find_spec("lockon_client") is None:
        raise CommandFailed("--through needs the Python client: pip install ./client")


def _through_errors() -> tuple[type[Exception], ...]:
    if find_spec("lockon_client") is None:
        return ()
    from service.commands.through import ThroughFailed

    return (ThroughFailed,)


def _tracker(model: str | None, through: str | None) -> tuple[str, str, OpenTracker]:
    """Name, what tells it from another tracker, and how a process opens it."""
    if through is not None:
        from service.commands.through import open_service, served_model

        # Asked before anything is written: a server that is not there has no results.
        served = served_model(through, model)
        name = f"{Path(model).name if model else 'default'}-service"
        return name, f"{served} at {through}", partial(open_service, through, model)
    from models.package import DEFAULT_MODEL, DUMMY, find_package
    from training.benchmarks.running import model_identity, open_model

    wanted = model or DEFAULT_MODEL
    name = DUMMY if wanted == DUMMY else find_package(wanted).name
    return name, model_identity(wanted), partial(open_model, wanted)


@contextmanager
def progress(total: int) -> Iterator[Callable[[str], None]]:
    """A bar on stderr, where that is a terminal; what it gives is told what is done, one by one."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=total)
        yield lambda name: bar.update(task, description=name, advance=1)


def _archive(benchmark: Benchmark, sequences: Sequence[BenchmarkSequence], place: Path, folder: Path) -> None:
    from training.benchmarks.results import write_archive

    archive = place / f"{folder.name}.zip"
    write_archive(benchmark, folder, sequences, archive)
    typer.echo(f"{archive}: for the server of {benchmark.name}", err=True)


def _report(
    benchmark: Benchmark, split: str, sequences: Sequence[BenchmarkSequence], place: Path, folders: Sequence[Path]
) -> None:
    """Scores the result folders, the judged tracker's first, and writes and shows what comes of it."""
    from training.benchmarks.report import tracker_names
    from training.benchmarks.scoring import score_benchmark

    names = tracker_names(folders)
    scored = [score_benchmark(benchmark, sequences, folder, name) for folder, name in zip(folders, names, strict=True)]
    listed = [scores for scores in scored if scores is not None]
    if not listed:
        typer.echo("the truth of this split is not published: its server has the scores", err=True)
        return
    title = " ".join(filter(None, (benchmark.name, split)))
    _write(benchmark, split, sequences, place, folders[0], listed)
    _show(title, listed)


def _show(title: str, listed: Sequence[BenchmarkScores]) -> None:
    from service.commands.showing import show
    from training.benchmarks.report import overall_table, part_table

    judged = listed[0]
    tables = [part_table(judged, "sequence", judged.sequences)]
    tables.append(overall_table(f"{title}, {len(judged.sequences)} sequences", listed))
    show([part_table(judged, "attribute", judged.attributes), *tables] if judged.attributes else tables)


def _write(
    benchmark: Benchmark,
    split: str,
    sequences: Sequence[BenchmarkSequence],
    place: Path,
    folder: Path,
    listed: Sequence[BenchmarkScores],
) -> None:
    """JSON, a PNG for each kind of curve, and the page, beside the folder of results."""
    from training.benchmarks.page import draw_worst, write_page
    from training.benchmarks.report import draw_plot, plots_of, to_json
    from training.benchmarks.results import read_regions, result_files

    name = listed[0].tracker
    report = json.dumps(to_json(benchmark.name, split, listed), indent=1)
    (place / f"{name}.json").write_text(report + "\n", encoding="utf-8")
    pictures = []
    for plot in plots_of(listed):
        pictures.append(place / f"{name}-{plot.name}.png")
        draw_plot(plot, pictures[-1])
    results = {each.name: read_regions(result_files(benchmark, folder, each.name), each) for each in sequences}
    drawn = draw_worst(listed[0], sequences, results)
    title = " ".join(filter(None, (name, "on", benchmark.name, split)))
    write_page(place / f"{name}.html", title, listed, pictures, drawn)
    typer.echo(f"{place / name}.html: the report; .json has every number", err=True)
