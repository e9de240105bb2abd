"""`lockon bench`: load on a deployment, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from service.commands.failures import CommandFailed, reported, silence_opencv

if TYPE_CHECKING:
    from models.runtimes.base import ByteArray
    from service.bench.film import Film
    from service.bench.load import Load, Observed


def bench(
    url: Annotated[str, typer.Argument(metavar="URL", help="The deployment, such as http://127.0.0.1:8000.")],
    streams: Annotated[int, typer.Option("--streams", "-n", help="Streams at once.", min=1, max=10_000)] = 8,
    fps: Annotated[float, typer.Option("--fps", help="Frames a second of each.", min=0.1, max=240)] = 30.0,
    seconds: Annotated[float, typer.Option("--seconds", help="How long frames come.", min=1)] = 30.0,
    jitter_ms: Annotated[float, typer.Option("--jitter", help="Each frame is late by up to so many ms.", min=0)] = 0.0,
    churn: Annotated[
        float, typer.Option("--churn", help="Streams a minute that leave, each replaced by another one.", min=0)
    ] = 0.0,
    model: Annotated[str | None, typer.Option("--model", "-m", help="One of the deployment's models.")] = None,
    key: Annotated[
        str | None, typer.Option("--key", envvar="LOCKON_KEY", help="API key or token, where one is asked for.")
    ] = None,
    frames: Annotated[
        Path | None, typer.Option("--frames", help="A video, or a folder of images; else a drawn scene.", exists=True)
    ] = None,
    box: Annotated[
        str | None, typer.Option("--box", metavar="x,y,w,h", help="The target in the first of those frames. [middle]")
    ] = None,
    size: Annotated[str, typer.Option("--size", metavar="WxH", help="Size of the drawn scene.")] = "1280x720",
    json_path: Annotated[Path | None, typer.Option("--json", help="Write the figures.", dir_okay=False)] = None,
    html_path: Annotated[Path | None, typer.Option("--html", help="Write a page.", dir_okay=False)] = None,
) -> None:
    """Put load on a deployment, as many cameras would, and say how old the answers are and what became of the frames.

    Frames come when they are due, whatever the answers do; ages count from then, by this machine's clock. Run it on
    another machine than the server: it takes processor time of its own. Exit code 1 if not one stream could be opened,
    or if the server's counters do not add up.
    """
    silence_opencv()
    with reported():
        _require_client()
    from lockon_client import LockonError

    from service.bench.doors import BenchFailed
    from service.bench.load import Load

    with reported(BenchFailed, LockonError):
        film = _drawn(size) if frames is None else _recorded(frames, box)
        load = Load(url, streams, fps, seconds, jitter_ms=jitter_ms, churn=churn, model=model, key=key)
        observed = _run(load, film)
        _told(observed, json_path, html_path)


def _require_client() -> None:
    """Raises CommandFailed, with the command that helps, where the client is missing."""
    if find_spec("lockon_client") is None:
        raise CommandFailed("this command needs lockon-client: pip install ./client, in a checkout of Lockon")


def _run(load: Load, film: Film) -> Observed:
    import asyncio

    from service.bench.load import Generator

    return asyncio.run(Generator(load, film).run())


def _told(observed: Observed, json_path: Path | None, html_path: Path | None) -> None:
    """Prints the table and writes the files; raises CommandFailed if the counters do not add up."""
    from rich.console import Console

    from service.bench.figures import figures
    from service.bench.page import page
    from service.bench.table import shown

    found = figures(observed)
    Console().print(shown(observed, found))
    if json_path is not None:
        _written(json_path, json.dumps({"load": _record(observed)} | found.record(), indent=1) + "\n")
    if html_path is not None:
        _written(html_path, page(observed, found))
    if not found.sums:
        told = (
            "do not add up: received != processed + dropped + rejected + waiting" if found.accounted else "are unknown"
        )
        raise CommandFailed(f"the server's counters {told}")


def _record(observed: Observed) -> dict[str, Any]:
    """What the load was, without its key."""
    from dataclasses import asdict

    load, film = asdict(observed.load), observed.film
    del load["key"]
    return load | {"film": film.name, "size": [film.width, film.height], "frame_bytes": round(film.mean_bytes)}


def _written(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _drawn(size: str) -> Film:
    from service.bench.film import drawn

    width, _, height = size.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 64 <= int(width) <= 8192 and 64 <= int(height) <= 8192):
        raise typer.BadParameter(f"{size!r} is not a size such as 1280x720, of 64 to 8192 pixels", param_hint="--size")
    return drawn(int(width), int(height))


def _recorded(path: Path, box: str | None) -> Film:
    """The first frames of a recording. A folder's JPEG files go as they are, everything else is encoded."""
    from itertools import islice

    import numpy as np

    from service.bench.film import LONGEST, Film, encoded, middle
    from service.commands.frames import open_source
    from service.commands.selection import parsed_box

    paths = sorted(path.iterdir()) if path.is_dir() else []
    sizes: set[tuple[int, ...]] = set()
    if paths and all(each.suffix.lower() in (".jpg", ".jpeg") for each in paths):
        files = tuple(each.read_bytes() for each in paths[:LONGEST])
        sizes.add(np.shape(next(open_source(str(path)).frames))[:2])
    else:
        files = encoded(_seen(islice(open_source(str(path)).frames, LONGEST), sizes))
    if len(sizes) != 1:
        raise CommandFailed(f"{path}: has {'frames of several sizes' if sizes else 'no frames'}")
    height, width = sizes.pop()
    return Film(path.name, files, parsed_box(box) if box else middle(width, height), width, height)


def _seen(frames: Iterable[ByteArray], sizes: set[tuple[int, ...]]) -> Iterator[ByteArray]:
    """The frames, one by one; notes their heights and widths."""
    for frame in frames:
        sizes.add(frame.shape[:2])
        yield frame
