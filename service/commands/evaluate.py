"""`lockon evaluate`: a model's scores on a folder of sequences, beside other trackers."""

from __future__ import annotations

import json
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.failures import CommandFailed, reported, silence_opencv

if TYPE_CHECKING:
    from training.evaluation.absences import MadeClip
    from training.evaluation.ope import Run, TrackerFactory
    from training.evaluation.report import Evaluation, Halves
    from training.evaluation.sequences import Clip, Sequence


def evaluate(
    folder: Annotated[
        Path,
        typer.Argument(help="Folder of sequences, each NAME/img/*.jpg and NAME/groundtruth.txt; or one sequence."),
    ],
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Name of a model, or path of a package's folder.")
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write every metric per sequence and the means.", dir_okay=False)
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option("--boxes", help="Write <sequence>.txt with x,y,w,h per frame here.", file_okay=False),
    ] = None,
    beside: Annotated[
        list[str] | None, typer.Option("--beside", help="Also run csrt, kcf or nano of OpenCV; may be repeated.")
    ] = None,
    nano: Annotated[
        Path | None, typer.Option("--nano", help="Folder of TrackerNano's two ONNX files.", file_okay=False)
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="Only the sequence of this name; may be repeated.")
    ] = None,
    from_boxes: Annotated[
        Path | None,
        typer.Option("--from-boxes", help="Score the <sequence>.txt files of this folder; run no model."),
    ] = None,
    absences: Annotated[
        bool,
        typer.Option(
            "--absences",
            help="Also run over clips in which the target is covered, cut away, or returns elsewhere, made of the "
            "sequences: how soon is it said to be lost, how soon is it back?",
        ),
    ] = False,
) -> None:
    """Measure how well a model follows targets whose true boxes are known (one-pass evaluation).

    Every tracker runs over the same frames in the same loop, on one thread. The first frame and frames without a true
    box are not scored; where there are such frames, a table says what the states make of them.
    """
    if model is not None and from_boxes is not None:
        raise typer.BadParameter("give --model or --from-boxes, not both")
    if absences and from_boxes is not None:
        raise typer.BadParameter("--absences needs a model to run, so not --from-boxes")
    silence_opencv()
    from models.package import PackageInvalid
    from models.target import TargetInvalid
    from training.evaluation.opencv_trackers import PeerUnavailable
    from training.evaluation.report import Evaluation, Halves, to_json, write_all_boxes
    from training.evaluation.sequences import SequenceInvalid, read_sequences

    with reported(SequenceInvalid, PackageInvalid, PeerUnavailable, TargetInvalid):
        everything = read_sequences(folder)
        chosen = _chosen(everything, only or [])
        halves = Halves.of(sequence.name for sequence in everything)
        name, trackers, done = _trackers(model, from_boxes, chosen, beside or [], nano)
        made = _made(chosen, halves) if absences else []
        runs = _with_progress(trackers, [*chosen, *made])
        evaluation = Evaluation(
            name,
            done | {tracker: listed[: len(chosen)] for tracker, listed in runs.items()},
            halves,
            {tracker: listed[len(chosen) :] for tracker, listed in runs.items()},
        )
        if boxes is not None:
            write_all_boxes(evaluation, boxes)
        if json_path is not None:
            json_path.parent.mkdir(parents=True, exist_ok=True)
            json_path.write_text(json.dumps(to_json(evaluation, folder), indent=1) + "\n", encoding="utf-8")
    _show(evaluation)


def _chosen(sequences: list[Sequence], names: list[str]) -> list[Sequence]:
    known = {sequence.name for sequence in sequences}
    if unknown := [name for name in names if name not in known]:
        raise CommandFailed(f"no sequence {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return [sequence for sequence in sequences if not names or sequence.name in names]


def _trackers(
    model: str | None, from_boxes: Path | None, sequences: list[Sequence], beside: list[str], nano: Path | None
) -> tuple[str, dict[str, TrackerFactory], dict[str, list[Run]]]:
    """The judged tracker's name, what is to be run, the judged one first, and the runs that are done already."""
    from models.package import DEFAULT_MODEL, DUMMY, find_package, load_tracker
    from training.evaluation.ope import ModelTracker, score_boxes

    peers = _peers(beside, nano)
    if from_boxes is not None:
        name = from_boxes.resolve().name
        return name, peers, {name: score_boxes(from_boxes, sequences)}
    wanted = model or DEFAULT_MODEL
    tracker = load_tracker(wanted)
    name = DUMMY if wanted == DUMMY else find_package(wanted).name
    return name, {name: lambda: ModelTracker(tracker), **peers}, {}


def _made(sequences: list[Sequence], halves: Halves) -> list[MadeClip]:
    """Clips of one half show nothing of the other."""
    from training.evaluation.absences import made_clips

    parts = ([each for each in sequences if each.name in half] for half in (halves.tuning, halves.held_out))
    return [clip for part in parts for clip in made_clips(part)]


def _peers(names: list[str], nano: Path | None) -> dict[str, TrackerFactory]:
    from training.evaluation.opencv_trackers import Peer, peer_factory

    known = [str(peer) for peer in Peer]
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"--beside {unknown[0]}: known are {', '.join(known)}")
    return {name: peer_factory(Peer(name), nano) for name in names}


def _with_progress(trackers: dict[str, TrackerFactory], sequences: SequenceOf[Clip]) -> dict[str, list[Run]]:
    """Runs the evaluation under a progress bar on stderr, which shows nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import Progress

    from training.evaluation.ope import evaluate as run

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("evaluating", total=len(trackers) * len(sequences))

        def step(sequence: str, tracker: str, done: int) -> None:
            progress.update(task, description=f"{sequence} ({tracker})", completed=done)

        return run(trackers, sequences, step)


def _show(evaluation: Evaluation) -> None:
    from rich.console import Console

    from training.evaluation.report import half_table, mean_table, presence_tables, sequence_table

    console = Console()
    tables = (sequence_table(evaluation), mean_table(evaluation), half_table(evaluation))
    for table in (*tables, *presence_tables(evaluation)):
        console.print(table)
