"""NanoTrack v1, v2, v3 with their published weights: how well and how fast they follow, beside others' runs of them.

    python -m tests.benchmarks.nanotrack

imports the checkpoints of the shared data folder, follows all of its evaluation sequences on ONNX Runtime with one
thread and prints one table. OpenCV's TrackerNano runs the ONNX pair of v2 in turns with them; the rows of earlier runs
are those of the shared baselines. Only times of one run compare with each other.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean

import cv2
from rich.console import Console
from rich.table import Table

from models.importing import import_checkpoint
from models.importing.nanotrack import VARIANTS
from models.package import load_tracker
from models.tracker import Tracker
from tests.conftest import SHARED
from tests.nanotrack import checkpoint, onnx_pair
from training.evaluation.metrics import mean_scores
from training.evaluation.ope import ModelTracker, Run, TrackerFactory, evaluate
from training.evaluation.opencv_trackers import Peer, peer_factory
from training.evaluation.sequences import read_sequences

OPENCV = "TrackerNano, v2"
EARLIER = {
    "nanotrack_v1": "original code, v1",
    "nanotrack_v2": "original code, v2",
    "nanotrack_v3": "original code, v3",
    "opencv_nano_v2": OPENCV,
}
"""Names in the shared baselines, and in the table."""


def imported(folder: Path) -> dict[str, Tracker]:
    """A tracker of each published checkpoint."""
    packages = {name: import_checkpoint([checkpoint(name)], folder).package for name in VARIANTS}
    return {name: load_tracker(str(package.folder)) for name, package in packages.items()}


def factory(tracker: Tracker) -> TrackerFactory:
    """One tracker, a new target for each sequence."""
    return lambda: ModelTracker(tracker)


def add_row(table: Table, name: str, run: str, mean: Mapping[str, float]) -> None:
    """The means over all sequences."""
    scores = (f"{mean[key]:.3f}" for key in ("auc", "precision20", "ao"))
    table.add_row(name, run, *scores, f"{mean['wall_ms']:.2f}", f"{mean['cpu_ms']:.2f}")


def mean_of(runs: Sequence[Run]) -> dict[str, float]:
    """The means under the names of the baselines' file."""
    times = {key: fmean(getattr(run, key) for run in runs) for key in ("wall_ms", "cpu_ms")}
    return asdict(mean_scores(run.scores for run in runs)) | times


def main() -> None:
    """Runs everything and prints the table: success AUC, precision at 20 px, mean overlap, times."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    # What OpenCV says of a network's target for every sequence is no help.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    data = SHARED / "data"
    earlier = json.loads((data / "eval_baselines" / "eval.json").read_text())["trackers"]
    with tempfile.TemporaryDirectory() as folder:
        trackers = {name: factory(tracker) for name, tracker in imported(Path(folder)).items()}
        trackers[OPENCV] = peer_factory(Peer.NANO, onnx_pair("nanotrack_v2")[0].parent)
        runs = evaluate(trackers, read_sequences(data / "eval"))
    table = Table("tracker", "run", "AUC", "P20", "AO", "wall ms/frame", "CPU ms/frame")
    for name, done in runs.items():
        add_row(table, name, "now", mean_of(done))
    for name, title in EARLIER.items():
        add_row(table, title, "earlier", earlier[name]["mean"])
    Console().print(table)


if __name__ == "__main__":
    main()
