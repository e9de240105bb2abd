"""`lockon data`: what data sets are at hand, packs of them for training, and a look at their samples."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.failures import CommandFailed, reported, require_train_extra

if TYPE_CHECKING:
    from rich.progress import Progress

    from training.datasets.catalogue import Found
    from training.datasets.checking import SplitReport
    from training.datasets.tracks import Track

app = typer.Typer(help="Check data sets, pack them for training, and look at their samples.", no_args_is_help=True)

_SHOWN_PROBLEMS = 10

Splits = Annotated[
    list[str] | None,
    typer.Option("--split", help="Only this split; may be repeated. Those for training if not given."),
]


@app.command()
def check(
    root: Annotated[Path, typer.Argument(help="Folder of a data set, or of several.")],
) -> None:
    """Say which data sets lie in a folder, what is missing or broken, and who publishes them. Writes nothing.

    The exit code is 1 if anything is missing or broken."""
    with reported():
        require_train_extra("data")
    from rich.console import Console
    from rich.table import Table

    from training.datasets.catalogue import recognise
    from training.datasets.checking import check as run
    from training.datasets.tracks import DataInvalid

    console, sound = Console(soft_wrap=True), True
    with reported(DataInvalid):
        for found in recognise(root):
            with _progress("sequences") as progress:
                task = progress.add_task(found.layout.title)

                def step(split: str, done: int, total: int, title: str = found.layout.title) -> None:
                    progress.update(task, description=f"{title} {split}", completed=done, total=total)  # noqa: B023

                reports = run(found, step)
            table = Table(title=f"{found.layout.title} in {found.root}", title_justify="left")
            for heading in ("split", "sequences", "published", "tracks", "frames", "with target", "problems"):
                table.add_column(heading)
            for report in reports:
                table.add_row(*_cells(report))
            console.print(table)
            for line in _problem_lines(reports):
                console.print(line, highlight=False, markup=False)
            console.print(f"publisher: {found.layout.publisher}", highlight=False, markup=False)
            complete = bool(reports) and all(report.complete for report in reports)
            if not complete and found.layout.remark:
                console.print(f"note: {found.layout.remark}", highlight=False, markup=False)
            sound &= complete
    if not sound:
        raise typer.Exit(1)


@app.command()
def pack(
    roots: Annotated[list[Path], typer.Argument(metavar="ROOT...", help="Folders of data sets.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the pack.", file_okay=False)],
    split: Splits = None,
    every: Annotated[int, typer.Option("--every", min=1, help="Take each so many-th frame that shows the target.")] = 1,
    side: Annotated[int, typer.Option("--side", min=64, max=4096, help="Largest side of a crop in pixels.")] = 511,
    quality: Annotated[int, typer.Option("--quality", min=1, max=100, help="Quality of the JPEGs.")] = 90,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", min=1, help="Processes; the cores if not given.")] = None,
) -> None:
    """Cut the targets of data sets out, with their surroundings, into one LMDB file that trains fast.

    A pack that was stopped goes on when the same command is given again. Name it as a source in a recipe."""
    with reported():
        require_train_extra("data")
    from training.datasets.catalogue import chosen_splits, recognise
    from training.datasets.tracks import DataInvalid
    from training.packs.crops import CropRule
    from training.packs.store import PackExists
    from training.packs.writing import Progress as Packed
    from training.packs.writing import write_pack

    with reported(DataInvalid, PackExists), _progress("sequences") as progress:
        found = [data for root in roots for data in recognise(root)]
        chosen = [(data, chosen_splits(data, split or ())) for data in found]
        origin = [f"{data.layout.name}:{name}" for data, names in chosen for name in names]
        task = progress.add_task("packing")

        def step(done: Packed) -> None:
            progress.update(task, description=f"{done.tracks:,} tracks, {done.views:,} crops")

        manifest = write_pack(
            _counted(chosen, progress, task),
            out,
            CropRule(side=side, quality=quality, every=every),
            origin,
            processes=jobs or len(os.sched_getaffinity(0)),
            report=step,
        )
    typer.echo(
        f"{out}: {manifest['crops']:,} crops of {manifest['tracks']:,} tracks and {manifest['stills']:,} stills, "
        f"{manifest['bytes'] / 1e6:,.0f} MB"
    )
    if left_out := manifest["left_out"]:
        typer.echo(f"{len(left_out)} pictures were left out, the first: {left_out[0]}", err=True)


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(metavar="PACK", help="Folder of a pack.", file_okay=False)],
) -> None:
    """Check every crop of a pack against its digest, and the index against the manifest."""
    with reported():
        require_train_extra("data")
    from training.datasets.tracks import DataInvalid
    from training.packs.verifying import verify_pack

    with reported(DataInvalid):
        with _progress("crops") as progress:
            task = progress.add_task("verifying")
            faults = verify_pack(folder, lambda done, total: progress.update(task, completed=done, total=total))
        if faults:
            shown = "; ".join(faults[:_SHOWN_PROBLEMS])
            raise CommandFailed(f"{folder}: {len(faults)} faults: {shown}")
    typer.echo(f"{folder}: whole")


@app.command()
def show(
    source: Annotated[Path, typer.Argument(help="Folder of a data set, of shards or of a pack; or a recipe.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="The picture, a .png or .jpg file.", dir_okay=False)],
    split: Splits = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Another number draws other samples; of a recipe, that step's batch.")
    ] = 0,
) -> None:
    """Draw a sheet of samples with their boxes: a row for each track, or of stills; of a recipe its augmented pairs."""
    with reported():
        require_train_extra("data")
    import cv2

    from models.spec import SpecInvalid
    from training.datasets.sheet import draw_sheet
    from training.datasets.tracks import DataInvalid
    from training.pair_sheet import draw_pairs

    with reported(DataInvalid, SpecInvalid):
        sheet = draw_pairs(source, seed) if source.is_file() else draw_sheet(source, split or (), seed)
        if not out.suffix or not cv2.haveImageWriter(str(out)):
            raise CommandFailed(f"{out}: cannot be written as a picture; use a name that ends in .png or .jpg")
        out.parent.mkdir(parents=True, exist_ok=True)
        if not cv2.imwrite(str(out), sheet):
            raise CommandFailed(f"{out}: cannot be written")
    typer.echo(out)


def _counted(chosen: list[tuple[Found, list[str]]], progress: Progress, task: object) -> Iterator[Track]:
    """All tracks; moves the bar by sequences."""
    from rich.progress import TaskID

    assert isinstance(task, int)
    names = [
        (data, split, name)
        for data, splits in chosen
        for split in splits
        for name in data.layout.sequences(data.root, split)
    ]
    progress.update(TaskID(task), total=len(names))
    for data, split, name in names:
        yield from data.layout.tracks(data.root, split, name)
        progress.advance(TaskID(task))


@contextmanager
def _progress(unit: str) -> Iterator[Progress]:
    """A bar on stderr, which shows nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        yield bar


def _cells(report: SplitReport) -> tuple[str, ...]:
    published = "-" if report.expected is None else f"{report.expected:,}"
    counts = (report.tracks, report.frames, report.visible, len(report.problems))
    return (report.split, f"{report.sequences:,}", published, *(f"{count:,}" for count in counts))


def _problem_lines(reports: list[SplitReport]) -> list[str]:
    """The first problems of each split and how many more there are, and the same of remarks."""
    lines: list[str] = []
    for report in reports:
        for title, said in (("", report.problems), ("remark: ", report.remarks)):
            texts = list(dict.fromkeys(said))  # many tracks may share a picture
            lines += [title + text for text in texts[:_SHOWN_PROBLEMS]]
            if (more := len(texts) - _SHOWN_PROBLEMS) > 0:
                lines.append(f"{title}… and {more:,} more in {report.split}")
    return lines
