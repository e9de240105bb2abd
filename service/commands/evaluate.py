"""`lockon evaluate`: a model's scores on a folder of sequences, beside other trackers, or on a published benchmark."""

from __future__ import annotations

import json
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from service.commands.benchmark import BenchmarkRequest, evaluate_benchmark
from service.commands.failures import CommandFailed, reported, silence_opencv

if TYPE_CHECKING:
    from training.evaluation.absences import MadeClip
    from training.evaluation.ope import Run, TrackerFactory
    from training.evaluation.report import Evaluation, Halves
    from training.evaluation.sequences import Clip, Sequence


_FOLDER, _BENCHMARK = "A folder of sequences", "Published benchmarks"

Folder = Annotated[
    Path | None,
    typer.Argument(help="Folder of sequences, each NAME/img/*.jpg and NAME/groundtruth.txt; or one sequence."),
]
Model = Annotated[str | None, typer.Option("--model", "-m", help="Name of a model, or path of a package's folder.")]
Only = Annotated[list[str] | None, typer.Option("--only", help="Only the sequence of this name; may be repeated.")]
FromBoxes = Annotated[
    Path | None, typer.Option("--from-boxes", help="Score the result files of this folder; run no model.")
]
JsonPath = Annotated[
    Path | None,
    typer.Option("--json", help="Write every metric per sequence and the means.", rich_help_panel=_FOLDER),
]
BoxFolder = Annotated[
    Path | None,
    typer.Option("--boxes", help="Write <sequence>.txt with x,y,w,h per frame here.", rich_help_panel=_FOLDER),
]
Beside = Annotated[
    list[str] | None,
    typer.Option("--beside", help="Also run csrt, kcf or nano of OpenCV; may be repeated.", rich_help_panel=_FOLDER),
]
Nano = Annotated[
    Path | None, typer.Option("--nano", help="Folder of TrackerNano's two ONNX files.", rich_help_panel=_FOLDER)
]
Absences = Annotated[
    bool,
    typer.Option(
        "--absences",
        help="Also run over clips in which the target is covered, cut away, or returns elsewhere, made of the "
        "sequences: how soon is it said to be lost, how soon is it back?",
        rich_help_panel=_FOLDER,
    ),
]
BenchmarkName = Annotated[
    str | None,
    typer.Option(
        "--benchmark",
        help="otb100, uav123, lasot, trackingnet, got10k, vot2018, vot2019, votlt or folder.",
        rich_help_panel=_BENCHMARK,
    ),
]
Root = Annotated[
    Path | None, typer.Option("--root", help="Where its data set lies, as published.", rich_help_panel=_BENCHMARK)
]
Split = Annotated[
    str | None, typer.Option("--split", help="Another split of it, as otb50 or val.", rich_help_panel=_BENCHMARK)
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for results and reports.", rich_help_panel=_BENCHMARK)]
Jobs = Annotated[
    int, typer.Option("--jobs", "-j", min=1, help="So many sequences at a time.", rich_help_panel=_BENCHMARK)
]
Through = Annotated[
    str | None,
    typer.Option(
        "--through",
        metavar="URL",
        help="Measure a running server instead, as ws://127.0.0.1:8000; --model is one of its names.",
        rich_help_panel=_BENCHMARK,
    ),
]
Against = Annotated[
    list[Path] | None,
    typer.Option(
        "--against",
        help="Show another tracker's results beside, of this folder; may be repeated.",
        rich_help_panel=_BENCHMARK,
    ),
]


def evaluate(
    folder: Folder = None,
    model: Model = None,
    only: Only = None,
    from_boxes: FromBoxes = None,
    json_path: JsonPath = None,
    boxes: BoxFolder = None,
    beside: Beside = None,
    nano: Nano = None,
    absences: Absences = False,
    benchmark: BenchmarkName = None,
    root: Root = None,
    split: Split = None,
    out: Out = Path("evaluation"),
    jobs: Jobs = 1,
    through: Through = None,
    against: Against = None,
) -> None:
    """Measure how well a model follows targets whose true boxes are known: on a FOLDER of sequences, or on a benchmark.

    FOLDER: one pass, every tracker over the same frames in the same loop, on one thread. The first frame and frames
    without a true box are not scored; where there are such frames, a table says what the states make of them.

    --benchmark: by the benchmark's own protocol, with the numbers of its toolkits; what has results is not run again.
    """
    if (folder is None) == (benchmark is None):
        raise typer.BadParameter("give a FOLDER of sequences, or --benchmark and --root")
    if model is not None and from_boxes is not None:
        raise typer.BadParameter("give --model or --from-boxes, not both")
    if through is not None and from_boxes is not None:
        raise typer.BadParameter("give --through or --from-boxes, not both")
    silence_opencv()
    if folder is not None:
        if absences and from_boxes is not None:
            raise typer.BadParameter("--absences needs a model to run, so not --from-boxes")
        if root or split or through or against:
            raise typer.BadParameter("--root, --split, --through and --against belong to --benchmark")
        request = FolderRequest(
            folder, model, only or [], from_boxes, json_path, boxes, beside or [], nano, absences=absences
        )
        _evaluate_folder(request)
        return
    if benchmark is None or root is None:
        raise typer.BadParameter("--benchmark needs --root, the folder of its data set")
    if json_path or boxes or beside or nano or absences:
        raise typer.BadParameter("--json, --boxes, --beside, --nano and --absences belong to a FOLDER")
    evaluate_benchmark(
        BenchmarkRequest(benchmark, root, split, model, through, out, jobs, only or [], from_boxes, against or [])
    )


@dataclass(frozen=True, slots=True)
class FolderRequest:
    """What the user has asked for of a folder of sequences."""

    folder: Path
    model: str | None
    only: SequenceOf[str]
    from_boxes: Path | None
    json_path: Path | None
    boxes: Path | None
    beside: SequenceOf[str]
    nano: Path | None
    absences: bool


def _evaluate_folder(request: FolderRequest) -> None:
    from models.package import PackageInvalid
    from training.evaluation.opencv_trackers import PeerUnavailable
    from training.evaluation.report import Evaluation, Halves, to_json, write_all_boxes
    from training.evaluation.sequences import SequenceInvalid, read_sequences

    with reported(SequenceInvalid, PackageInvalid, PeerUnavailable):
        everything = read_sequences(request.folder)
        chosen = _chosen(everything, request.only)
        halves = Halves.of(sequence.name for sequence in everything)
        name, trackers, done = _trackers(request, chosen)
        made = _made(chosen, halves) if request.absences else []
        runs = _with_progress(trackers, [*chosen, *made])
        evaluation = Evaluation(
            name,
            done | {tracker: listed[: len(chosen)] for tracker, listed in runs.items()},
            halves,
            {tracker: listed[len(chosen) :] for tracker, listed in runs.items()},
        )
        if request.boxes is not None:
            write_all_boxes(evaluation, request.boxes)
        if request.json_path is not None:
            request.json_path.parent.mkdir(parents=True, exist_ok=True)
            report = json.dumps(to_json(evaluation, request.folder), indent=1)
            request.json_path.write_text(report + "\n", encoding="utf-8")
    _show(evaluation)


def _chosen(sequences: list[Sequence], names: SequenceOf[str]) -> list[Sequence]:
    known = {sequence.name for sequence in sequences}
    if unknown := [name for name in names if name not in known]:
        raise CommandFailed(f"no sequence {unknown[0]!r}; there are {', '.join(sorted(known))}")
    return [sequence for sequence in sequences if not names or sequence.name in names]


def _trackers(
    request: FolderRequest, sequences: list[Sequence]
) -> tuple[str, dict[str, TrackerFactory], dict[str, list[Run]]]:
    """The judged tracker's name, what is to be run, the judged one first, and the runs that are done already."""
    from models.package import DEFAULT_MODEL, DUMMY, find_package, load_tracker
    from training.evaluation.ope import ModelTracker, score_boxes

    peers = _peers(request.beside, request.nano)
    if request.from_boxes is not None:
        name = request.from_boxes.resolve().name
        return name, peers, {name: score_boxes(request.from_boxes, sequences)}
    wanted = request.model or DEFAULT_MODEL
    tracker = load_tracker(wanted)
    name = DUMMY if wanted == DUMMY else find_package(wanted).name
    return name, {name: lambda: ModelTracker(tracker), **peers}, {}


def _made(sequences: list[Sequence], halves: Halves) -> list[MadeClip]:
    """Clips of one half show nothing of the other."""
    from training.evaluation.absences import made_clips

    parts = ([each for each in sequences if each.name in half] for half in (halves.tuning, halves.held_out))
    return [clip for part in parts for clip in made_clips(part)]


def _peers(names: SequenceOf[str], nano: Path | None) -> dict[str, TrackerFactory]:
    from training.evaluation.opencv_trackers import Peer, peer_factory

    known = [str(peer) for peer in Peer]
    if unknown := [name for name in names if name not in known]:
        raise typer.BadParameter(f"--beside {unknown[0]}: known are {', '.join(known)}")
    return {name: peer_factory(Peer(name), nano) for name in names}


def _with_progress(trackers: dict[str, TrackerFactory], sequences: SequenceOf[Clip]) -> dict[str, list[Run]]:
    """Runs the evaluation under a progress bar on stderr, which shows nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    from training.evaluation.ope import evaluate as run

    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("evaluating", total=len(trackers) * len(sequences))

        def step(sequence: str, tracker: str, done: int) -> None:
            progress.update(task, description=escape(f"{sequence} ({tracker})"), completed=done)

        return run(trackers, sequences, step)


def _show(evaluation: Evaluation) -> None:
    from service.commands.showing import show
    from training.evaluation.report import half_table, mean_table, presence_tables, sequence_table

    tables = (sequence_table(evaluation), mean_table(evaluation), half_table(evaluation))
    show([*tables, *presence_tables(evaluation)])
