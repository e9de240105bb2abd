"""What it brings to let the network rest between two looks (`cadence` of a session, `models.carrying`).

    python -m tests.benchmarks.cadence --folder FOLDER                      # the default model
    python -m tests.benchmarks.cadence --folder FOLDER --model NAME_OR_FOLDER

The table tells accuracy (the mean of `--starts` passes from first boxes beside the true one, by the runtime that the
server would choose), the share of frames that the network saw, the cost of carrying a target, and how many times as
many streams a core carries if every frame also costs what `--other-ms` says (transport, decoding, Python).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from models.carrying import CERTAINTY, LONGEST_STEP, Carrier
from models.frames import Picture
from models.geometry import Box
from models.package import DEFAULT_MODEL, load_tracker
from models.runtimes.base import ByteArray
from models.target import Target
from models.tracker import Tracker
from tests.benchmarks.starts import mean_auc, starts
from training.evaluation.ope import Answer, evaluate
from training.evaluation.sequences import read_sequences


@dataclass(frozen=True, slots=True)
class Policy:
    """When the network may rest."""

    cadence: int
    certainty: float = CERTAINTY
    longest_step: float = LONGEST_STEP


class CarriedTracker:
    """Our tracker with a carrier between its looks."""

    def __init__(self, tracker: Tracker, policy: Policy) -> None:
        self._tracker, self._cadence = tracker, policy.cadence
        self._carrier = Carrier(tracker, policy.certainty, policy.longest_step)
        self._target: Target | None = None
        self.looks = 0
        self.carrier_ms: list[float] = []

    def start(self, frame: ByteArray, box: Box) -> None:
        """Makes a new target."""
        self._target = self._tracker.start(frame, box)

    def follow(self, frame: ByteArray, time_s: float) -> Answer:
        """The carrier's box where it may and can, else the network's."""
        target = self._target
        assert target is not None, "start comes first"
        picture, before, began = Picture.of(frame, time_s), target.box, time.perf_counter()
        estimate = self._carrier.carried(target, picture, self._cadence)
        if estimate is not None:
            self.carrier_ms.append((time.perf_counter() - began) * 1e3)
        else:
            estimate = self._tracker.follow(target, picture)
            self.looks += 1
            if self._cadence > 1:
                self._carrier.looked(target, picture, before, estimate)
        return Answer(estimate.box, estimate.score, estimate.state)


def policies(cadences: Sequence[int], *, constants: bool) -> dict[str, Policy]:
    """The network alone, these cadences and, if asked for, what the constants of carrying do."""
    found = {"every frame": Policy(1)}
    found |= {f"1 look in {cadence}": Policy(cadence) for cadence in cadences}
    if constants:
        found |= {f"1 look in 6, match >= {certainty}": Policy(6, certainty=certainty) for certainty in (0.7, 0.9)}
        found |= {f"1 look in 6, step <= {step}": Policy(6, longest_step=step) for step in (0.1, 0.3)}
    return found


def _same(tracker: CarriedTracker) -> CarriedTracker:
    return tracker


def main() -> None:
    """Runs all policies over the sequences, in turns, and prints the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--folder", type=Path, required=True, help="folder of sequences")
    options.add_argument("--model", default=DEFAULT_MODEL, help="name or folder of a package")
    options.add_argument("--starts", type=int, default=6, help="passes of each policy, 2 or more")
    options.add_argument("--other-ms", type=float, default=2.0, help="CPU ms that every frame costs besides")
    options.add_argument("--cadences", type=int, nargs="+", default=[2, 4, 6, 8])
    options.add_argument("--constants", action="store_true", help="also rows with other constants of carrying")
    chosen = options.parse_args()
    model = load_tracker(chosen.model, kind="auto", precision="auto")
    tried = policies(chosen.cadences, constants=chosen.constants)
    carried = {title: CarriedTracker(model, policy) for title, policy in tried.items()}
    factories = {
        name: make
        for title, tracker in carried.items()
        for name, make in starts(partial(_same, tracker), title, chosen.starts).items()
    }
    runs = evaluate(factories, read_sequences(chosen.folder))
    table = Table("policy", "AUC", "looks", "carrier ms", "CPU ms/frame", "streams")
    alone_ms = None
    for title, tracker in carried.items():
        passes = [runs[name] for name in starts(partial(_same, tracker), title, chosen.starts)]
        done = [run for each in passes for run in each]
        frames = sum(len(run.boxes) - 1 for run in done)
        cost_ms = fmean(run.cpu_ms or 0.0 for run in done)
        alone_ms = cost_ms if alone_ms is None else alone_ms
        table.add_row(
            title,
            mean_auc(passes),
            f"{tracker.looks / frames:.2f}",
            f"{fmean(tracker.carrier_ms):.2f}" if tracker.carrier_ms else "-",
            f"{cost_ms:.2f}",
            f"{(alone_ms + chosen.other_ms) / (cost_ms + chosen.other_ms):.2f}x",
        )
    Console(width=140).print(table)


if __name__ == "__main__":
    main()
