"""Our numbers beside those of the official toolkits, of the very same result files.

    python -m tests.benchmarks.toolkits [--environment DIR]

DIR is a virtual environment with got10k 0.1.3 and vot-toolkit 0.9.0, and is made if it is not there (which needs a
package index); by default it lies in the folder for temporary files. Data sets in the true layouts are drawn, with
their odd cases; results are the truth, disturbed by rule. Then Lockon itself runs as a tracker of both toolkits, and
the boxes and numbers are compared with those of `lockon evaluate`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from tests.benchmarks import toolkits_theirs
from tests.benchmarks.toolkits_data import DRAWN, disturb
from training.benchmarks.results import read_regions, result_files
from training.benchmarks.running import BenchmarkRun, open_model, run_benchmark
from training.benchmarks.scoring import score_benchmark
from training.benchmarks.sequences import BENCHMARKS, BenchmarkSequence, read_benchmark

REPOSITORY = Path(__file__).parents[2]
# attributee 0.1.10 cannot be imported on Python 3.11, and got10k does not name six and fire.
PACKAGES = ("got10k==0.1.3", "six", "fire", "vot-toolkit==0.9.0", "vot-trax", "attributee==0.1.9")
TRACKER = toolkits_theirs.TRACKER
LOCKON = "Lockon"
MODEL = "dummy"
STACK = """title: numbers of one toolkit beside another's
experiments:
  {name}:
    type: {kind}
    repetitions: 1
{analyses}
"""
SUPERVISED = """    skip_initialize: 5
    analyses:
      - type: supervised_average_ar
        sensitivity: 30
      - type: supervised_eao_score
        low: 100
        high: 356"""
LONG_TERM = """    analyses:
      - type: average_tpr"""

Numbers = Mapping[str, float]


def main() -> None:
    """Prints a table for each benchmark; ends with 1 if a number of the same files differs by more than 5e-7."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, default=Path(tempfile.gettempdir()) / "lockon-toolkits")
    environment = parser.parse_args().environment.resolve()
    if not (environment / "bin" / "vot").is_file():
        make_environment(environment)
    with tempfile.TemporaryDirectory() as scratch:
        compare(environment, Path(scratch))


def make_environment(folder: Path) -> None:
    """The toolkits' own environment: they need other libraries than we do."""
    venv.create(folder, with_pip=True)
    subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *PACKAGES], check=True)


def compare(environment: Path, scratch: Path) -> None:
    """Draws, disturbs, scores on both sides, and prints."""
    worst = 0.0
    for number, (name, draw) in enumerate(DRAWN.items()):
        data, results = scratch / name / "sequences", scratch / name / "results"
        only = draw(data)
        split = "val" if name == "got10k" else None
        _, sequences = read_benchmark(BENCHMARKS[name], data, split, only)
        folder = results / toolkits_theirs.PLACES.get(name, "") / TRACKER
        disturb(name, sequences, folder, np.random.default_rng(number))
        ours = score_benchmark(BENCHMARKS[name], sequences, folder, TRACKER)
        assert ours is not None
        theirs = ask(environment, name, data, results, TRACKER)
        worst = max(worst, show(f"{name}: the same result files", ours.overall, theirs))
    Console().print(f"largest difference: {worst:.1e}")
    lockon_in_got10k(environment, scratch)
    lockon_in_vot(environment, scratch)
    if worst > 5e-7:
        sys.exit(1)


def ask(environment: Path, name: str, data: Path, results: Path, tracker: str) -> Numbers:
    """What the toolkit says."""
    if name.startswith("vot"):
        make_workspace(data.parent, name)
    script = Path(toolkits_theirs.__file__)
    command = [str(environment / "bin" / "python"), str(script), name, str(data), str(results), tracker]
    variables = os.environ | {"PYTHONPATH": str(REPOSITORY), "MPLBACKEND": "agg"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=variables)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    numbers: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return numbers


def show(title: str, ours: Numbers, theirs: Numbers) -> float:
    """Prints ours | theirs | difference; returns the largest one."""
    table = Table("metric", "ours", "theirs", "difference", title=title, title_justify="left")
    for metric, value in theirs.items():
        table.add_row(metric, f"{ours[metric]:.7f}", f"{value:.7f}", f"{ours[metric] - value:+.1e}")
    Console().print(table)
    return max(abs(ours[metric] - value) for metric, value in theirs.items())


def make_workspace(folder: Path, name: str) -> None:
    """A VOT workspace around the sequences and results in it."""
    kind, title, analyses = (
        ("supervised", "baseline", SUPERVISED) if name == "vot2018" else ("unsupervised", "longterm", LONG_TERM)
    )
    (folder / "stack.yaml").write_text(STACK.format(name=title, kind=kind, analyses=analyses))
    (folder / "config.yaml").write_text("stack: ./stack.yaml\nregistry: [./trackers.ini]\nsequences: sequences\n")
    served = f"{sys.executable} -m training.toolkits.vot {MODEL}"
    entries = {TRACKER: "none", LOCKON: served}
    text = "".join(
        f"[{tracker}]\nlabel = {tracker}\nprotocol = trax\ncommand = {command}\nenv_PYTHONPATH = {REPOSITORY}\n\n"
        for tracker, command in entries.items()
    )
    (folder / "trackers.ini").write_text(text)


# Lockon as their tracker


def lockon_in_got10k(environment: Path, scratch: Path) -> None:
    """The OTB experiment runs the adapter; its boxes beside those of our own run."""
    data, results = scratch / "otb100" / "sequences", scratch / "adapter"
    theirs = ask(environment, "run_otb", data, results, MODEL)
    benchmark = BENCHMARKS["otb100"]
    _, sequences = read_benchmark(benchmark, data, None, ("Basketball", "Boy", "Car4"))
    folder = own_run("otb100", sequences, scratch / "own" / "otb100")
    ours = score_benchmark(benchmark, sequences, folder, LOCKON)
    assert ours is not None
    show("Lockon in the got10k package, beside lockon evaluate", ours.overall, theirs)
    apart = 0.0
    for sequence in sequences:
        own = np.array(read_regions(result_files(benchmark, folder, sequence.name), sequence))
        other = np.loadtxt(results / "OTB" / LOCKON / f"{sequence.name}.txt", delimiter=",")
        apart = max(apart, float(np.abs(own - other).max()))
    Console().print(f"largest difference of a box: {apart:.4f} px (the package writes three decimals)")


def lockon_in_vot(environment: Path, scratch: Path) -> None:
    """The tests of the VOT toolkit, and its evaluation of a small workspace: the long-term one, since vot-toolkit 0.9.0
    runs no supervised experiment with any tracker (it starts one with an object where its runtime takes a list)."""
    workspace = scratch / "votlt"
    vot = str(environment / "bin" / "vot")
    run = subprocess.run([vot, "test", LOCKON], check=False, capture_output=True, text=True, cwd=workspace)
    if "Test concluded successfuly" not in run.stdout + run.stderr:
        sys.exit(f"vot test failed:\n{run.stdout}{run.stderr}")
    Console().print("vot test: passed")
    evaluate = [vot, "evaluate", "--workspace", str(workspace), LOCKON]
    run = subprocess.run(evaluate, check=False, capture_output=True, text=True)
    if "error" in run.stderr:
        sys.exit(f"vot evaluate failed:\n{run.stderr}")
    theirs = ask(environment, "votlt", workspace / "sequences", workspace / "results", LOCKON)
    _, sequences = read_benchmark(BENCHMARKS["votlt"], workspace / "sequences")
    folder = own_run("votlt", sequences, scratch / "own" / "votlt")
    ours = score_benchmark(BENCHMARKS["votlt"], sequences, folder, LOCKON)
    assert ours is not None
    show("Lockon in the VOT toolkit, beside lockon evaluate", ours.overall, theirs)
    results = scratch / "vot2018" / "results"
    _, sequences = read_benchmark(BENCHMARKS["vot2018"], scratch / "vot2018" / "sequences")
    folder = own_run("vot2018", sequences, results / LOCKON)
    ours = score_benchmark(BENCHMARKS["vot2018"], sequences, folder, LOCKON)
    assert ours is not None
    theirs = ask(environment, "vot2018", scratch / "vot2018" / "sequences", results, LOCKON)
    show("lockon evaluate's supervised results, analysed by the VOT toolkit", ours.overall, theirs)


def own_run(name: str, sequences: Sequence[BenchmarkSequence], folder: Path) -> Path:
    """Our own run of the same model into the folder, which is returned."""
    run = BenchmarkRun(BENCHMARKS[name], sequences, folder, MODEL)
    run_benchmark(run, lambda: open_model(MODEL), 1)
    return folder


if __name__ == "__main__":
    main()
