"""How well our models follow beside the published trackers whose weights are at hand, sequence by sequence.

    python -m tests.benchmarks.scores FOLDER [--models siamfcpp_light siamfcpp_tiny packages/mine] [--out DIR]

follows every sequence in FOLDER, as `lockon evaluate` does, on one thread, and prints two tables as Markdown. NanoTrack
is imported and runs in our loop; FEAR-XS in `tests.benchmarks.fear`; CSRT, KCF and TrackerNano in OpenCV, of which the
contrib build is needed. Weights are those of the shared data folder.

DIR keeps what each tracker made of each sequence: a model with another checksum, or a tracker that is new here, is run,
and nothing else. It does not know of changes of the loop, and times are those of the run that was kept: to measure
anew, take another DIR.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import cv2
import numpy as np
from rich.console import Console

from models.importing import import_checkpoint
from models.importing.nanotrack import VARIANTS
from models.package import DEFAULT_MODEL, load_tracker
from tests.benchmarks.fear import fear_factory, fear_files
from tests.conftest import SHARED
from tests.nanotrack import checkpoint, onnx_pair
from training.benchmarks.running import model_identity
from training.evaluation.metrics import Scores, mean_scores, score
from training.evaluation.ope import ModelTracker, TrackerFactory, evaluate
from training.evaluation.opencv_trackers import Peer, peer_factory
from training.evaluation.report import Halves
from training.evaluation.sequences import Sequence as Labelled
from training.evaluation.sequences import read_sequences

FEAR = SHARED / "weights" / "fear_xs"
OURS = (DEFAULT_MODEL, "siamfcpp_tiny")


@dataclass(frozen=True, slots=True)
class Entrant:
    """A tracker of the tables. `identity` tells it from any other and is the name of its folder of results; `open` is
    called only if a result is missing."""

    title: str
    identity: str
    open: Callable[[], TrackerFactory]


@dataclass(frozen=True, slots=True)
class Result:
    """What a tracker made of one sequence."""

    scores: Scores
    cpu_ms: float


Results = Mapping[str, Mapping[str, Result]]
"""Tracker's title -> sequence's name -> result."""


def entrants(models: Sequence[str], out: Path) -> list[Entrant]:
    """The models, and everything to compare them with; NanoTrack's packages are written into `out`."""
    pair = onnx_pair("nanotrack_v2")
    return [
        *(_of_package(f"`{model}`", model) for model in models),
        *(_of_package(f"NanoTrack {name.removeprefix('nanotrack_')}", str(_imported(name, out))) for name in VARIANTS),
        Entrant("FEAR-XS", f"fear_xs-{_checksum(*fear_files(FEAR))}", lambda: fear_factory(FEAR)),
        _of_opencv("TrackerNano v2", Peer.NANO, pair),
        _of_opencv("CSRT", Peer.CSRT),
        _of_opencv("KCF", Peer.KCF),
    ]


def _imported(variant: str, out: Path) -> Path:
    """The folder of NanoTrack's package."""
    folder = out / "packages"
    if not (folder / variant).is_dir():
        import_checkpoint([checkpoint(variant)], folder)
    return folder / variant


def _of_package(title: str, model: str) -> Entrant:
    def opened() -> TrackerFactory:
        tracker = load_tracker(model)
        return lambda: ModelTracker(tracker)

    return Entrant(title, model_identity(model).replace(" ", "-"), opened)


def _of_opencv(title: str, peer: Peer, files: Sequence[Path] = ()) -> Entrant:
    """`files`: the networks, which lie in one folder."""
    folder = files[0].parent if files else None
    return Entrant(title, f"{peer}-{_checksum(*files)}-opencv-{cv2.__version__}", lambda: peer_factory(peer, folder))


def _checksum(*files: Path) -> str:
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def run_all(listed: Sequence[Entrant], sequences: Iterable[Labelled], out: Path) -> Results:
    """Results of all trackers on all sequences. Those that miss take turns, so that a busy machine slows all alike."""
    opened: dict[str, TrackerFactory] = {}
    results: dict[str, dict[str, Result]] = {entrant.title: {} for entrant in listed}
    for sequence in sequences:
        for entrant in listed:
            path = out / entrant.identity / f"{_name(sequence)}.json"
            if not path.is_file():
                if entrant.title not in opened:
                    opened[entrant.title] = entrant.open()
                _run(opened[entrant.title], sequence, path)
            results[entrant.title][sequence.name] = _read(path, sequence)
    return results


def _name(sequence: Labelled) -> str:
    """Tells a sequence from others of the same name, such as a shorter part of it."""
    return f"{sequence.name}-{hashlib.sha256(sequence.truth.tobytes()).hexdigest()[:8]}"


def _run(make: TrackerFactory, sequence: Labelled, path: Path) -> None:
    (run,) = evaluate({"": make}, [sequence])[""]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cpu_ms": run.cpu_ms, "boxes": run.boxes.tolist()}) + "\n", encoding="utf-8")


def _read(path: Path, sequence: Labelled) -> Result:
    kept = json.loads(path.read_text(encoding="utf-8"))
    return Result(score(np.array(kept["boxes"], np.float64), sequence.truth), kept["cpu_ms"])


def mean_table(results: Results) -> str:
    """A row for each tracker: means over the sequences and over both halves of them."""
    halves = Halves.of(next(iter(results.values())))
    heading = ("tracker", "success AUC", "tuning half", "held-out half", "P20", "SR.50", "SR.75", "CPU ms a frame")
    rows = []
    for title, of_tracker in results.items():
        mean = mean_scores(result.scores for result in of_tracker.values())
        parts = ([of_tracker[name].scores for name in half] for half in (halves.tuning, halves.held_out))
        aucs = [mean_scores(part).auc if part else float("nan") for part in parts]
        numbers = (mean.auc, *aucs, mean.precision20, mean.sr50, mean.sr75)
        cpu_ms = fmean(result.cpu_ms for result in of_tracker.values())
        rows.append((title, *map(_share, numbers), f"{cpu_ms:.1f}"))
    return _markdown(heading, rows)


def sequence_table(results: Results) -> str:
    """A row for each sequence: every tracker's success AUC, the best one bold."""
    names = list(next(iter(results.values())))
    halves = Halves.of(names)
    rows = []
    for name in names:
        aucs = [round(of_tracker[name].scores.auc, 3) for of_tracker in results.values()]
        cells = (f"**{_share(auc)}**" if auc == max(aucs) else _share(auc) for auc in aucs)
        rows.append((name, "tuning" if name in halves.tuning else "held-out", *cells))
    return _markdown(("sequence", "half", *results), rows)


def _share(value: float) -> str:
    """Three decimals without the zero before them."""
    return f"{value:.3f}".removeprefix("0")


def _markdown(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (heading, ["---"] * len(heading), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Runs what is missing and prints the tables."""
    # What OpenCV says of a network's target for every sequence is no help.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of sequences")
    parser.add_argument("--models", nargs="+", default=OURS, help="names of models, or folders of packages")
    parser.add_argument("--out", type=Path, default=Path("runs/scores"), help="keeps results; default: runs/scores")
    request = parser.parse_args()
    load = os.getloadavg()[0]
    sequences = read_sequences(request.folder)
    results = run_all(entrants(request.models, request.out), sequences, request.out)
    scored = sum(result.scores.frames for result in next(iter(results.values())).values())
    console = Console()
    for text in (mean_table(results), sequence_table(results)):
        console.out(text, highlight=False)
    console.out(f"{len(sequences)} sequences, {scored} scored frames; load of the machine: {load:.1f}", highlight=False)


if __name__ == "__main__":
    main()
