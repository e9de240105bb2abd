"""What the official toolkits say of result files; run in an environment of their own, see `toolkits`.

    python toolkits_theirs.py BENCHMARK DATA RESULTS TRACKER        prints one JSON object: metric -> number

Metrics have the names of `training.benchmarks.scoring`.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

TRACKER = "noisy"
PLACES = {"otb100": "OTB", "uav123": "UAV123", "got10k": "GOT-10k"}
"""Where in a folder of results the got10k package looks for a tracker's."""


def otb(data: Path, results: Path, tracker: str) -> dict[str, float]:
    """The got10k package's OTB experiment."""
    return _overall(_otb_experiment(data, results).report([tracker])[tracker])


def run_otb(data: Path, results: Path, model: str) -> dict[str, float]:
    """The same, after it has run Lockon."""
    from training.toolkits.got10k import LockonTracker

    tracker = LockonTracker(model, "Lockon")
    experiment = _otb_experiment(data, results)
    experiment.run(tracker)
    return _overall(experiment.report([tracker.name])[tracker.name])


def uav123(data: Path, results: Path, tracker: str) -> dict[str, float]:
    """Its UAV123 experiment."""
    from got10k.experiments import ExperimentUAV123  # type: ignore[import-not-found]

    experiment = ExperimentUAV123(str(data), "UAV123", str(results), str(results / "reports"))
    return _overall(experiment.report([tracker])[tracker])


def got10k(data: Path, results: Path, tracker: str) -> dict[str, float]:
    """Its GOT-10k experiment on the validation part."""
    from got10k.experiments import ExperimentGOT10k

    experiment = ExperimentGOT10k(str(data), "val", str(results), str(results / "reports"))
    overall = experiment.report([tracker])[tracker]["overall"]
    # The package prints no SR.75; its success curve has it at the 75th of 101 thresholds.
    return {"got10k.ao": overall["ao"], "got10k.sr50": overall["sr"], "got10k.sr75": overall["succ_curve"][75]}


def vot_supervised(data: Path, results: Path, tracker: str) -> dict[str, float]:
    """Accuracy, robustness and EAO of vot-toolkit."""
    accuracy_robustness, expected = _analyses(data.parent, tracker)
    return {
        "vot.accuracy": accuracy_robustness[0],
        "vot.robustness": accuracy_robustness[1],
        "vot.eao": expected[0],
    }


def vot_longterm(data: Path, results: Path, tracker: str) -> dict[str, float]:
    """Precision, recall and F-score of vot-toolkit."""
    (scores,) = _analyses(data.parent, tracker)
    return dict(zip(("vot.precision", "vot.recall", "vot.f_score"), scores, strict=True))


def _otb_experiment(data: Path, results: Path) -> Any:
    """Made by hand: the package would want to download the sequences that are not there."""
    from got10k.datasets import OTB  # type: ignore[import-not-found]
    from got10k.experiments import ExperimentOTB

    experiment = ExperimentOTB.__new__(ExperimentOTB)
    experiment.dataset = OTB(str(data), 2015, download=False)
    experiment.result_dir, experiment.report_dir = str(results / PLACES["otb100"]), str(results / "reports")
    experiment.nbins_iou, experiment.nbins_ce = 21, 51
    return experiment


def _overall(performance: Any) -> dict[str, float]:
    names = {"success_score": "success", "precision_score": "precision", "success_rate": "success_rate"}
    return {f"got10k.{ours}": float(performance["overall"][theirs]) for theirs, ours in names.items()}


def _analyses(workspace: Path, tracker: str) -> list[Any]:
    """What each analysis of the workspace's one experiment gives for the tracker."""
    from vot.analysis.processor import AnalysisProcessor, process_stack_analyses  # type: ignore[import-not-found]
    from vot.utilities import ThreadPoolExecutor  # type: ignore[import-not-found]
    from vot.workspace import Workspace  # type: ignore[import-not-found]

    loaded = Workspace.load(str(workspace))
    trackers = loaded.registry.resolve(tracker, storage=loaded.storage.substorage("results"), skip_unknown=False)
    executor = ThreadPoolExecutor(1)
    try:
        with AnalysisProcessor(executor, {}):
            (experiment,) = process_stack_analyses(loaded, trackers).values()
    finally:
        executor.shutdown()
    return [result[0, 0] for result in experiment.values()]


ANSWERS: Mapping[str, Callable[[Path, Path, str], dict[str, float]]] = {
    "otb100": otb,
    "run_otb": run_otb,
    "uav123": uav123,
    "got10k": got10k,
    "vot2018": vot_supervised,
    "votlt": vot_longterm,
}


if __name__ == "__main__":
    name, data, results, tracker = sys.argv[1:]
    # The toolkits print as they go; the last line on the standard output is ours.
    with contextlib.redirect_stdout(sys.stderr):
        numbers = ANSWERS[name](Path(data), Path(results), tracker)
    sys.stdout.write(json.dumps(numbers) + "\n")
