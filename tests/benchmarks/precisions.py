"""Whether a model follows as well in bfloat16 as in single precision, and how much sooner it answers.

    python -m tests.benchmarks.precisions FOLDER --models siamfcpp_light siamfcpp_tiny

prints, as Markdown, the success AUC over the sequences in FOLDER of ONNX Runtime in single precision and of OpenVINO
in bfloat16: means of passes from first boxes each number of which is drawn within 2 % of the target's size of the true
one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from models.package import DEFAULT_MODEL, load_tracker
from models.runtimes.kinds import Precision, RuntimeKind
from tests.benchmarks.starts import COLUMNS, row, starts
from training.evaluation.ope import ModelTracker, evaluate
from training.evaluation.report import Halves
from training.evaluation.sequences import read_sequences

WAYS = {"f32": RuntimeKind.ONNXRUNTIME, "bf16": RuntimeKind.OPENVINO}


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
    print(f"| model, numbers | {COLUMNS} |\n{'| --- ' * 5}|")  # noqa: T201
    for model in chosen.models:
        ways = [Precision(name) for name in chosen.precisions]
        trackers = {way: load_tracker(model, kind=WAYS[way], precision=way) for way in ways}
        factories = {
            way: starts(lambda tracker=tracker: ModelTracker(tracker), way, chosen.starts)  # type: ignore[misc]
            for way, tracker in trackers.items()
        }
        runs = evaluate({name: make for each in factories.values() for name, make in each.items()}, sequences)
        for way, tracker in trackers.items():
            label = f"`{Path(model).name}`, {tracker.runtime.precision}"
            print(row(label, [runs[name] for name in factories[way]], halves), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
