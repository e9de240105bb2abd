"""Whether a model follows as well in bfloat16 as in single precision, and how much sooner it answers.

    python -m tests.benchmarks.precisions FOLDER --models siamfcpp_light siamfcpp_tiny

prints, as Markdown, the success AUC over the sequences in FOLDER of ONNX Runtime in single precision and of OpenVINO
in bfloat16. A single pass says little, since one frame's rounding can decide whether a target is lost: every sequence
is followed from several first boxes, each number of which is drawn within 2 % of the target's size of the true one.
"""

from __future__ import annotations

import argparse
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from models.geometry import Box
from models.package import DEFAULT_MODEL, load_tracker
from models.runtimes.base import ByteArray
from models.runtimes.kinds import Precision, RuntimeKind
from models.tracker import Tracker
from training.evaluation.metrics import mean_scores
from training.evaluation.ope import ModelTracker, Run, evaluate
from training.evaluation.report import Halves
from training.evaluation.sequences import read_sequences

WAYS = {"f32": RuntimeKind.ONNXRUNTIME, "bf16": RuntimeKind.OPENVINO}
SHIFT, LEAST_SHIFT_PX = 0.02, 1.0
"""How far a side is moved at most: a share of the root of the target's area, but not less than so many pixels."""


class Shifted(ModelTracker):
    """Starts beside the true box: as far as `number` and the box itself say."""

    def __init__(self, tracker: Tracker, number: int) -> None:
        super().__init__(tracker)
        self._number = number

    def start(self, frame: ByteArray, box: Box) -> None:
        """Makes a new target on the shifted box."""
        rng = np.random.default_rng([self._number, zlib.crc32(repr(box.xywh()).encode())])
        reach = max(LEAST_SHIFT_PX, SHIFT * math.sqrt(box.w * box.h))
        x, y, w, h = np.array(box.xywh()) + rng.uniform(-reach, reach, 4)
        super().start(frame, Box(x, y, max(1.0, w), max(1.0, h)))


def starts(tracker: Tracker, label: str, count: int) -> dict[str, Callable[[], ModelTracker]]:
    """A factory for each of the starts, by its name."""
    return {f"{label} {number}": lambda number=number: Shifted(tracker, number) for number in range(count)}


def row(label: str, runs: Sequence[Sequence[Run]], halves: Halves) -> str:
    """Mean over the starts, with its standard error; the halves; the CPU time."""
    groups = (halves.tuning | halves.held_out, halves.tuning, halves.held_out)
    aucs = [
        [mean_scores([run.scores for run in part if run.sequence in group]).auc for part in runs] for group in groups
    ]
    mean, tuning, held_out = (float(np.mean(part)) for part in aucs)
    error = float(np.std(aucs[0], ddof=1)) / math.sqrt(len(runs))
    cpu_ms = np.mean([run.cpu_ms for part in runs for run in part if run.cpu_ms is not None])
    return f"| {label} | {mean:.3f} ± {error:.3f} | {tuning:.3f} | {held_out:.3f} | {cpu_ms:.1f} |"


def main() -> None:
    """Prints a row for each model and each kind of numbers."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("folder", type=Path)
    options.add_argument("--models", nargs="+", default=[DEFAULT_MODEL], help="names, or folders of packages")
    options.add_argument("--starts", type=int, default=6)
    options.add_argument("--precisions", nargs="+", choices=sorted(WAYS), default=["f32", "bf16"])
    chosen = options.parse_args()
    sequences = read_sequences(chosen.folder)
    halves = Halves.of(sequence.name for sequence in sequences)
    print("| model, numbers | success AUC | tuning half | held-out half | CPU ms a frame |")  # noqa: T201
    print("| --- | --- | --- | --- | --- |")  # noqa: T201
    for model in chosen.models:
        ways = [Precision(name) for name in chosen.precisions]
        trackers = {way: load_tracker(model, kind=WAYS[way], precision=way) for way in ways}
        made = {name: make for way in ways for name, make in starts(trackers[way], way, chosen.starts).items()}
        runs = evaluate(made, sequences)
        for way, tracker in trackers.items():
            each = [runs[name] for name in starts(tracker, way, chosen.starts)]
            print(row(f"`{Path(model).name}`, {tracker.runtime.precision}", each, halves), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
