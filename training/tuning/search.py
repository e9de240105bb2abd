"""The search: trials on disk, spread over processes, each a run over the tuning half of a benchmark's sequences."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from models.package import DUMMY, find_package, load_tracker
from models.runtimes.dummy import DUMMY_SPEC
from models.tracker import Tracker
from training.benchmarks.running import BenchmarkRun, model_identity, run_benchmark
from training.benchmarks.scoring import HEADLINES, score_benchmark
from training.benchmarks.sequences import BENCHMARKS, Benchmark, BenchmarkSequence, Protocol
from training.evaluation.ope import ModelTracker, SequenceTracker
from training.evaluation.report import Halves
from training.tuning.caching import CachingRuntime, write_map_graphs
from training.tuning.space import Constants, Space

JOURNAL = "trials.log"


class Method(StrEnum):
    """How the next constants are chosen."""

    GRID = "grid"
    RANDOM = "random"
    TPE = "tpe"


class TuningRefused(RuntimeError):
    """There is nothing to search, or a folder holds another search; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is searched, over what, and where its trials lie."""

    model: str
    """name or folder of a package"""
    benchmark: str
    sequences: Sequence[BenchmarkSequence]
    """all of them; which half each one belongs to follows from their names"""
    space: Space
    method: Method
    folder: Path
    seed: int = 0

    @property
    def objective(self) -> str:
        """The metric that is made as high as it goes."""
        return objective(BENCHMARKS[self.benchmark])

    @property
    def present(self) -> Constants:
        """The model's constants as they are."""
        return Constants.of((DUMMY_SPEC if self.model == DUMMY else find_package(self.model).spec).loop)

    @property
    def halves(self) -> tuple[list[BenchmarkSequence], list[BenchmarkSequence]]:
        """The sequences to tune on, and those held out."""
        halves = Halves.of(sequence.name for sequence in self.sequences)
        tuned = [sequence for sequence in self.sequences if sequence.name in halves.tuning]
        return tuned, [sequence for sequence in self.sequences if sequence.name in halves.held_out]


@dataclass(frozen=True, slots=True)
class Judged:
    """What some constants score with the model's own runtime: on the half they were chosen by, and on the other."""

    constants: Constants
    tuning: float
    held_out: float


def objective(benchmark: Benchmark) -> str:
    """The benchmark's own score."""
    by_name = {"folder": "lockon.success", "got10k": "got10k.ao"}
    by_protocol = {**HEADLINES, Protocol.SUPERVISED: "pysot.eao"}
    return by_name.get(benchmark.name, by_protocol[benchmark.protocol])


def search(tuning: Tuning, trials: int, jobs: int, done: Callable[[float], None] = lambda value: None) -> Constants:
    """Runs trials until there are `trials` of them (of a grid: until it is through, if that is sooner) and returns the
    best constants. Those of earlier calls count; `done` is told each new value."""
    if len(tuning.sequences) < 2:
        raise TuningRefused("a search needs two sequences and more: half of them are held out")
    if not all(sequence.has_truth for sequence in tuning.sequences):
        raise TuningRefused("the truth of these sequences is not published: nothing to tune on")
    study = _study(tuning, 0)
    _describe(study, tuning)
    finished = len(_finished(study))
    if tuning.method is Method.GRID:
        trials = min(trials, finished + _enqueue_grid(study, tuning))
    elif not study.trials and tuning.space.holds(tuning.present):
        study.enqueue_trial(asdict(tuning.present))  # what the model has is where to go on from
    if tuning.model != DUMMY:
        write_map_graphs(find_package(tuning.model), tuning.folder)  # once, before many processes want them
    numbers = range(finished, trials)
    if jobs == 1 or len(numbers) <= 1:
        for number in numbers:
            done(_trial(tuning, number))
    else:
        _run_in_processes(tuning, numbers, jobs, done)
    return _constants(_study(tuning, 0).best_params)


def _run_in_processes(tuning: Tuning, numbers: range, jobs: int, done: Callable[[float], None]) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(numbers)), context, _receive, (tuning,)) as pool:
        try:
            for future in as_completed([pool.submit(_trial_in_worker, number) for number in numbers]):
                done(future.result())
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_WORKERS_TUNING: list[Tuning] = []
"""What a worker process works on: large, so that it gets it once."""


def _receive(tuning: Tuning) -> None:
    _WORKERS_TUNING.append(tuning)


def _trial_in_worker(number: int) -> float:
    return _trial(_WORKERS_TUNING[0], number)


def judge(tuning: Tuning, constants: Constants, jobs: int) -> Judged:
    """Runs both halves with the model's own runtime, without remembered outputs."""
    tuned, held_out = tuning.halves
    run = partial(_score, tuning, constants, partial(_open_plain, tuning.model, constants), "judged")
    return Judged(constants, run(tuned, jobs), run(held_out, jobs))


def _study(tuning: Tuning, number: int) -> optuna.Study:
    """The study in the folder. The sampler's seed depends on the trial, so that a search that goes on draws anew."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    tuning.folder.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(tuning.folder / JOURNAL)))
    seed = tuning.seed * 1_000_003 + number
    sampler: BaseSampler = TPESampler(seed=seed) if tuning.method is Method.TPE else RandomSampler(seed=seed)
    return optuna.create_study(
        storage=storage, study_name="constants", direction="maximize", load_if_exists=True, sampler=sampler
    )


def _describe(study: optuna.Study, tuning: Tuning) -> None:
    """Notes what the trials are of, or finds it noted: values of another search say nothing here."""
    wanted = {
        "model": model_identity(tuning.model),
        "benchmark": tuning.benchmark,
        "sequences": sorted(sequence.name for sequence in tuning.sequences),
        "data": {sequence.name: sequence.digest for sequence in tuning.sequences},
        "space": asdict(tuning.space),
    }
    found = study.user_attrs.get("search", wanted)
    # Searches of older versions noted nothing of the data: they go on.
    if {"data": wanted["data"], **found} != wanted:
        other = ", ".join(name for name, value in wanted.items() if found.get(name) != value)
        raise TuningRefused(f"{tuning.folder}: holds another search ({other}); name another folder, or remove it")
    study.set_user_attr("search", wanted)


def _enqueue_grid(study: optuna.Study, tuning: Tuning) -> int:
    """Puts the points that were never tried into the queue, in an order that any part of which covers the space.

    Returns how many wait there. A trial of another method has its own numbers, and counts for no point."""
    # Not those that were running when a search was stopped: they are to be run.
    listed = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.WAITING))
    known = {tuple(sorted(trial.system_attrs.get("fixed_params", {}).items())) for trial in listed}
    points = [asdict(point) for point in tuning.space.points()]
    random.Random(tuning.seed).shuffle(points)
    for point in points:
        if tuple(sorted(point.items())) not in known:
            study.enqueue_trial(point)
    return len(study.get_trials(deepcopy=False, states=(TrialState.WAITING,)))


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _trial(tuning: Tuning, number: int) -> float:
    """One trial, in whichever process: asks for constants, runs, tells the value."""
    study = _study(tuning, number)
    trial = study.ask()
    axes = {"penalty_k": tuning.space.penalty_k, "window_influence": tuning.space.window_influence}
    axes["size_lr"] = tuning.space.size_lr
    constants = _constants(
        {name: trial.suggest_float(name, axis.low, axis.values[-1], step=axis.step) for name, axis in axes.items()}
    )
    tuned, _ = tuning.halves
    value = _score(tuning, constants, partial(_open_cached, tuning, constants), "trials", tuned, 1)
    study.tell(trial, value)
    return value


def _constants(chosen: Mapping[str, float]) -> Constants:
    """As short as the grid has them: sums of steps come with roundings."""
    return Constants(**{name: round(value, 6) for name, value in chosen.items()})


def _score(
    tuning: Tuning,
    constants: Constants,
    open_tracker: Callable[[], SequenceTracker],
    kind: str,
    sequences: Sequence[BenchmarkSequence],
    jobs: int,
) -> float:
    """The objective over these sequences. Results lie on disk: the same constants are not run twice."""
    benchmark, folder = BENCHMARKS[tuning.benchmark], tuning.folder / kind / constants.name
    run_benchmark(
        BenchmarkRun(benchmark, sequences, folder, f"{model_identity(tuning.model)} {constants}"), open_tracker, jobs
    )
    scores = score_benchmark(benchmark, sequences, folder, constants.name)
    assert scores is not None, "the truth is known: search() has looked"
    return scores.overall[tuning.objective]


_RUNTIMES: dict[str, Tracker] = {}
"""A process's trackers by model: what they remember serves its next trials too."""


def _open_cached(tuning: Tuning, constants: Constants) -> SequenceTracker:
    if tuning.model not in _RUNTIMES:
        tracker = load_tracker(tuning.model)
        maps = {} if tuning.model == DUMMY else write_map_graphs(find_package(tuning.model), tuning.folder)
        runtime = CachingRuntime(tracker.runtime, tracker.spec, maps) if maps else tracker.runtime
        _RUNTIMES[tuning.model] = Tracker(tracker.spec, runtime)
    known = _RUNTIMES[tuning.model]
    return ModelTracker(Tracker(constants.applied(known.spec), known.runtime))


def _open_plain(model: str, constants: Constants) -> SequenceTracker:
    tracker = load_tracker(model)
    return ModelTracker(Tracker(constants.applied(tracker.spec), tracker.runtime))
