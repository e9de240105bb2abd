"""`lockon track`: follow one target through a video, a folder of images or a camera's picture."""

from __future__ import annotations

import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from service.commands.failures import WITH_WINDOWS, CommandFailed, reported, silence_opencv

if TYPE_CHECKING:
    from models.geometry import Box
    from models.presence import State
    from models.runtimes.base import ByteArray
    from models.tracker import Tracker
    from service.commands.frames import Source


class Found(NamedTuple):
    """Where the target is in one frame."""

    box: Box
    score: float
    state: State


Sink = Callable[["ByteArray", int, Found], None]
"""Takes each frame, its index and what was found in it."""


def track(
    source: Annotated[
        str, typer.Argument(metavar="VIDEO|FOLDER|CAMERA", help="A video, images, or a camera's number.")
    ],
    box: Annotated[
        str | None, typer.Option("--box", metavar="x,y,w,h", help="The target in the first frame, in pixels.")
    ] = None,
    select: Annotated[
        bool,
        typer.Option("--select", help=f"Drag the box in a window instead, after once: {WITH_WINDOWS}"),
    ] = False,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Name of a model, or path of a package's folder.")
    ] = None,
    cadence: Annotated[
        int,
        typer.Option(min=1, max=8, help="The network looks at one of so many frames at least."),
    ] = 1,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write a video with box, score and state.", dir_okay=False)
    ] = None,
    json_path: Annotated[
        Path | None, typer.Option("--json", help="Write one JSON line per frame.", dir_okay=False)
    ] = None,
) -> None:
    """Follow one target and write where it is in every frame.

    Without --out and --json the JSON lines go to the standard output. Ctrl-C ends a camera's recording.
    """
    if (box is None) == (not select):
        raise typer.BadParameter("give the target's box either with --box x,y,w,h or with --select")
    silence_opencv()
    from models.package import DEFAULT_MODEL, PackageInvalid, load_tracker
    from models.target import TargetInvalid
    from service.commands.frames import open_source, source_files
    from service.commands.selection import parsed_box
    from training.evaluation.sequences import SequenceInvalid

    first_box = None if box is None else parsed_box(box)
    with reported(PackageInvalid, TargetInvalid, SequenceInvalid), contextlib.ExitStack() as stack:
        _require_other_files(source_files(source), out, json_path)
        tracker = load_tracker(model or DEFAULT_MODEL)
        opened = open_source(source)
        sinks = _sinks(stack, out, json_path, opened.fps)
        summary = _followed(_results(tracker, opened, first_box, cadence), opened, sinks)
    typer.echo(summary, err=True)


def _followed(results: Iterator[tuple[ByteArray, Found]], source: Source, sinks: list[Sink]) -> str:
    """Takes the source's results to their end; returns one line that says how it went."""
    states: Counter[str] = Counter()
    started = time.perf_counter()
    # Ctrl-C is how a camera's recording ends; anything else that is cut short should not look complete.
    stop = contextlib.suppress(KeyboardInterrupt) if source.is_camera else contextlib.nullcontext()
    with stop:
        for index, (frame, found) in enumerate(results):
            for sink in sinks:
                sink(frame, index, found)
            states[found.state] += 1
    frames, seconds = states.total(), time.perf_counter() - started
    counts = ", ".join(f"{count} {state}" for state, count in states.items())
    return f"{frames} frames in {seconds:.1f} s ({frames / seconds:.0f} frames/s): {counts}"


def _results(tracker: Tracker, source: Source, box: Box | None, cadence: int) -> Iterator[tuple[ByteArray, Found]]:
    """Each frame and what was found in it; the first frame's box is the given one."""
    from models.carrying import Carrier
    from models.frames import Picture
    from service.commands.selection import select_box

    first = next(source.frames, None)
    if first is None:
        raise CommandFailed("the source has no frames")
    given = box or select_box(first)
    target, carrier = tracker.start(first, given), Carrier(tracker)
    yield first, Found(given, 1.0, target.presence.state)
    for index, frame in enumerate(_shown(source), 1):
        estimate = carrier.follow(target, Picture.of(frame, index / source.fps), cadence)
        yield frame, Found(estimate.box, estimate.probability, estimate.state)


def _shown(source: Source) -> Iterator[ByteArray]:
    """The source's remaining frames, with a progress bar on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = Console(stderr=True)
    columns = ("tracking", BarColumn(), MofNCompleteColumn(), "frames", TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as progress:
        remaining = None if source.count is None else source.count - 1
        yield from progress.track(source.frames, total=remaining)


def _require_other_files(sources: Sequence[Path], out: Path | None, json_path: Path | None) -> None:
    """Raises CommandFailed for an output that would overwrite what is read, or the other output."""
    for option, path in (("--out", out), ("--json", json_path)):
        if path is not None and any(_is_same(path, source) for source in sources):
            raise CommandFailed(f"{path}: {option} would overwrite the source; give another name")
    if out is not None and json_path is not None and _is_same(out, json_path):
        raise CommandFailed(f"{out}: --out and --json name the same file; give another name to one of them")


def _is_same(path: Path, other: Path) -> bool:
    """Whether both are one file, also by links, or would be if they existed."""
    return path.resolve() == other.resolve() or (path.exists() and other.exists() and path.samefile(other))


def _sinks(stack: contextlib.ExitStack, out: Path | None, json_path: Path | None, fps: float) -> list[Sink]:
    """What is done with each result; files are closed when the stack is."""
    sinks: list[Sink] = []
    if out is not None:
        sinks.append(_video_sink(stack, out, fps))
    if json_path is not None:
        json_path.parent.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context(json_path.open("w", encoding="utf-8"))
        sinks.append(lambda _frame, index, found: typer.echo(_json_line(index, found), file=file))
    elif out is None:
        sinks.append(lambda _frame, index, found: typer.echo(_json_line(index, found)))
    return sinks


def _video_sink(stack: contextlib.ExitStack, path: Path, fps: float) -> Sink:
    from service.commands.drawing import VideoFile, drawn

    video = stack.enter_context(VideoFile(path, fps))
    return lambda frame, _index, found: video.write(drawn(frame, *found))


def _json_line(index: int, found: Found) -> str:
    numbers = [round(value, 4) for value in found.box.xywh()]
    return json.dumps({"frame": index, "box": numbers, "score": round(found.score, 4), "state": found.state})
