"""Runs a benchmark: sequences side by side in processes with a tracker each; what is done is not done again."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2

from models.package import DUMMY, MANIFEST, find_package, load_tracker
from training.benchmarks.protocols import run_protocol
from training.benchmarks.results import result_files, write_outcome
from training.benchmarks.sequences import BENCHMARKS, Benchmark, BenchmarkSequence
from training.drafts import drafted
from training.evaluation.ope import ModelTracker, SequenceTracker

MARK = "run.json"
"""Says in a tracker's result folder whose results they are, and of what data."""

OpenTracker = Callable[[], SequenceTracker]
"""Makes a tracker. It is sent to other processes, so it must be picklable: a function of a module, or a partial one."""


def open_model(name: str) -> SequenceTracker:
    """Our tracker with this model, a package's name or folder."""
    return ModelTracker(load_tracker(name))


def model_identity(name: str) -> str:
    """What tells the model from any other: its name, and the checksum of its manifest, which has those of its files."""
    if name == DUMMY:
        return DUMMY
    package = find_package(name)
    return f"{package.name} {hashlib.sha256((package.folder / MANIFEST).read_bytes()).hexdigest()[:16]}"


class RunRefused(RuntimeError):
    """A result folder holds results of another tracker or of other data; the message says what to do."""


@dataclass(frozen=True, slots=True)
class BenchmarkRun:
    """What is to be run, and where the results go."""

    benchmark: Benchmark
    sequences: Sequence[BenchmarkSequence]
    folder: Path
    """the tracker's own"""
    identity: str
    """tells one tracker from another: results of a different one are never mixed in"""


def run_benchmark(
    run: BenchmarkRun, open_tracker: OpenTracker, jobs: int, done: Callable[[str], None] = lambda name: None
) -> int:
    """Runs the sequences that have no results yet, `jobs` at a time, and returns how many; `done` is told each name.

    With one job everything runs in this process. A sequence that fails ends the run; what was done stays."""
    _claim(run)
    missing = [
        sequence for sequence in run.sequences if not result_files(run.benchmark, run.folder, sequence.name).complete
    ]
    if not missing:
        return 0
    if jobs == 1 or len(missing) == 1:
        _run_here(run, missing, open_tracker, done)
    else:
        _run_in_processes(run, missing, open_tracker, jobs, done)
    return len(missing)


def _run_here(
    run: BenchmarkRun, sequences: Sequence[BenchmarkSequence], open_tracker: OpenTracker, done: Callable[[str], None]
) -> None:
    with _one_thread():
        tracker = open_tracker()
        for sequence in sequences:
            _run_one(run.benchmark, run.folder, sequence, tracker)
            done(sequence.name)


def _run_in_processes(
    run: BenchmarkRun,
    sequences: Sequence[BenchmarkSequence],
    open_tracker: OpenTracker,
    jobs: int,
    done: Callable[[str], None],
) -> None:
    # The longest ones first, so that no process is left alone with one in the end.
    ordered = sorted(sequences, key=len, reverse=True)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(ordered)), context, _open_in_worker, (open_tracker,)) as pool:
        futures = {pool.submit(_run_in_worker, run.benchmark.name, run.folder, each): each.name for each in ordered}
        try:
            for future in as_completed(futures):
                future.result()
                done(futures[future])
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _claim(run: BenchmarkRun) -> None:
    """Marks the folder as this tracker's, with what tells the sequences' data from others, or finds it marked so.

    Results that lie there without such a mark, as older versions left them, are taken for those of this data: they may
    have cost days, and those with another number of frames are refused when they are scored."""
    found = _read_mark(run.folder / MARK)
    wanted = {"benchmark": run.benchmark.name, "tracker": run.identity}
    if found and {name: found.get(name) for name in wanted} != wanted:
        raise RunRefused(
            f"{run.folder}: holds results of {found.get('tracker')} on {found.get('benchmark')}, not of "
            f"{run.identity} on {run.benchmark.name}; take another --out, or remove them"
        )
    known, data = found.get("data", {}), {sequence.name: sequence.digest for sequence in run.sequences}
    for name, digest in data.items():
        files = result_files(run.benchmark, run.folder, name)
        if known.get(name, digest) != digest and files.complete:
            raise RunRefused(
                f"{files.boxes}: is of other data, with other frames or another truth than {name} has now; take "
                "another --out, or remove it"
            )
    if found != (wanted := {**wanted, "data": known | data}):
        _write_mark(run.folder, wanted)


def _read_mark(path: Path) -> dict[str, Any]:
    """What the mark says; nothing if there is none."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise RunRefused(f"{path}: is no JSON: {error}; remove it if you know whose the results are") from error
    if not isinstance(found, dict) or not isinstance(found.get("data", {}), dict):
        raise RunRefused(f"{path}: is no mark of a run; remove it if you know whose the results are")
    return found


def _write_mark(folder: Path, content: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    with drafted(folder / MARK) as draft:
        draft.write_text(json.dumps(content) + "\n", encoding="utf-8")


def _run_one(benchmark: Benchmark, folder: Path, sequence: BenchmarkSequence, tracker: SequenceTracker) -> None:
    outcome = run_protocol(benchmark.protocol, tracker, sequence)
    write_outcome(result_files(benchmark, folder, sequence.name), outcome)


@contextmanager
def _one_thread() -> Iterator[None]:
    """OpenCV on one thread, as the trackers are."""
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)


_WORKERS_TRACKER: list[SequenceTracker] = []
"""The tracker of a worker process, opened once."""


def _open_in_worker(open_tracker: OpenTracker) -> None:
    cv2.setNumThreads(1)
    _WORKERS_TRACKER.append(open_tracker())


def _run_in_worker(benchmark: str, folder: Path, sequence: BenchmarkSequence) -> None:
    _run_one(BENCHMARKS[benchmark], folder, sequence, _WORKERS_TRACKER[0])
