"""How fast a run learns: pairs a second, and after how many pairs it beats OpenCV's KCF and reaches CSRT.

    python -m tests.benchmarks.learning runs/mine SEQUENCES [--boxes DIR]

follows all sequences with every snapshot of the run (`average-*.pt`, see `snapshot_every` in its recipe) as
`lockon evaluate` does, in torch, and prints a row for each. KCF and CSRT run over the same frames, unless DIR holds
their boxes (`csrt/NAME.txt`). Scores lie in OUT/learning.json, and a snapshot that has one is not judged again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from models.networks import build
from models.runtimes.torch import TorchRuntime
from models.spec import ModelSpec, spec_from_mapping
from models.tracker import Tracker
from training import checkpoint
from training.evaluation.metrics import mean_scores
from training.evaluation.ope import evaluate, evaluate_model, score_boxes
from training.evaluation.opencv_trackers import Peer, peer_factory
from training.evaluation.sequences import Sequence as Labelled
from training.evaluation.sequences import read_sequences

GOALS = (Peer.KCF, Peer.CSRT)
KEPT = "learning.json"


class Snapshot(NamedTuple):
    """What a run had done when it kept its averaged weights, and how well they follow."""

    pairs: int
    seconds: float
    auc: float


def judged(path: Path, sequences: Sequence[Labelled]) -> Snapshot:
    """One snapshot's."""
    content = checkpoint.load(path)
    spec = spec_from_mapping(ModelSpec, content["recipe"]["model"])
    network = build(spec)
    network.load_state_dict(content["average"])
    runs = evaluate_model(Tracker(spec, TorchRuntime.of(network, spec)), sequences)
    return Snapshot(int(content["pairs"]), float(content["seconds"]), mean_scores(run.scores for run in runs).auc)


def goal(peer: Peer, sequences: Sequence[Labelled], boxes: Path | None) -> float:
    """A tracker's success AUC over the sequences."""
    if boxes is None:
        runs = evaluate({peer: peer_factory(peer, None)}, sequences)[peer]
    else:
        runs = score_boxes(boxes / peer, sequences)
    return mean_scores(run.scores for run in runs).auc


def remembered(path: Path, name: str, make: Callable[[], Any]) -> Any:
    """The value of that name in a file of JSON; it is made and put there if it is missing."""
    known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    if name not in known:
        known[name] = make()
        path.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return known[name]


def first_at(snapshots: Sequence[Snapshot], least: float) -> str:
    """When a score was first reached, as words."""
    for snapshot in snapshots:
        if snapshot.auc >= least:
            return f"after {snapshot.pairs:,} pairs or fewer, {snapshot.seconds / 60:.0f} minutes"
    return "not reached"


def table(snapshots: Sequence[Snapshot]) -> Table:
    """A row for each snapshot; pairs a second since the one before."""
    rows = Table("pairs", "minutes", "pairs/s", "success AUC", title="Learning")
    for before, snapshot in pairwise((Snapshot(0, 0.0, 0.0), *snapshots)):
        speed = (snapshot.pairs - before.pairs) / (snapshot.seconds - before.seconds)
        rows.add_row(f"{snapshot.pairs:,}", f"{snapshot.seconds / 60:.0f}", f"{speed:.1f}", f"{snapshot.auc:.3f}")
    return rows


def main() -> None:
    """Judges, compares and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("sequences", type=Path)
    parser.add_argument("--boxes", type=Path, help="boxes of KCF and CSRT, <tracker>/<sequence>.txt")
    parser.add_argument("--out", type=Path, help="default: the run's folder")
    request = parser.parse_args()
    out = request.out or request.run
    out.mkdir(parents=True, exist_ok=True)
    if not (paths := sorted(request.run.glob("average-*.pt"))):
        parser.error(f"{request.run} holds no average-*.pt: set snapshot_every in the recipe")
    sequences = read_sequences(request.sequences)
    snapshots = [Snapshot(*remembered(out / KEPT, path.name, partial(judged, path, sequences))) for path in paths]
    console = Console()
    console.print(table(snapshots))
    for peer in GOALS:
        least = remembered(out / KEPT, peer, partial(goal, peer, sequences, request.boxes))
        console.print(f"{peer} ({least:.3f}): {first_at(snapshots, least)}", highlight=False)


if __name__ == "__main__":
    main()
