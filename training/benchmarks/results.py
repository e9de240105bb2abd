"""Result files in the layouts that the official toolkits and servers read, and the archives that servers take."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.benchmarks.protocols import Outcome
from training.benchmarks.regions import Region
from training.benchmarks.sequences import Benchmark, BenchmarkSequence, Protocol
from training.benchmarks.trajectories import read_confidences, read_trajectory, write_trajectory
from training.datasets.textfiles import read_lines
from training.datasets.tracks import DataInvalid
from training.drafts import drafted

_FOLDERS = {Protocol.SUPERVISED: "baseline", Protocol.LONG_TERM: "longterm"}


@dataclass(frozen=True, slots=True)
class ResultFiles:
    """Where one sequence's results lie. All but `boxes` may be None: the benchmark has no such file."""

    boxes: Path
    times: Path
    confidences: Path | None = None

    @property
    def complete(self) -> bool:
        """Whether the sequence is done: its boxes are written last."""
        return self.boxes.is_file()


def result_files(benchmark: Benchmark, folder: Path, name: str) -> ResultFiles:
    """The files of the sequence `name` in a tracker's folder."""
    if benchmark.protocol is not Protocol.OPE:
        stem = folder / _FOLDERS[benchmark.protocol] / name / f"{name}_001"
        confidences = stem.with_name(f"{stem.name}_confidence.value")
        kept = confidences if benchmark.protocol is Protocol.LONG_TERM else None
        return ResultFiles(stem.with_name(f"{stem.name}.txt"), stem.with_name(f"{stem.name}_time.value"), kept)
    if benchmark.name == "got10k":
        return ResultFiles(folder / name / f"{name}_001.txt", folder / name / f"{name}_time.txt")
    return ResultFiles(folder / f"{name}.txt", folder / "times" / f"{name}_time.txt")


def write_outcome(files: ResultFiles, outcome: Outcome) -> None:
    """Writes all files of a sequence; each appears complete or not at all, the boxes last."""
    for path in (files.boxes, files.times):
        path.parent.mkdir(parents=True, exist_ok=True)
    _write_lines(files.times, (f"{value:.8f}" for value in outcome.times_s))
    if files.confidences is not None:
        _write_lines(files.confidences, ("" if math.isnan(value) else f"{value:.6f}" for value in outcome.confidences))
    with drafted(files.boxes) as draft:
        write_trajectory(draft, outcome.trajectory)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with drafted(path) as draft:
        draft.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_regions(files: ResultFiles, sequence: BenchmarkSequence) -> list[Region]:
    """The result of each frame; raises DataInvalid where the file is missing or has another number of lines."""
    trajectory = read_trajectory(files.boxes)
    if len(trajectory) != len(sequence):
        raise DataInvalid(f"{files.boxes}: {len(trajectory)} results for {len(sequence)} frames")
    return trajectory


def read_result_boxes(files: ResultFiles, sequence: BenchmarkSequence) -> NDArray[np.float64]:
    """(N, 4) boxes of a one-pass result, finite all of them."""
    regions = read_regions(files, sequence)
    for number, region in enumerate(regions, 1):
        if len(region) != 4 or not np.isfinite(region).all():
            raise DataInvalid(f"{files.boxes}, line {number}: is no box of four finite numbers")
    return np.array(regions)


def read_result_confidences(files: ResultFiles, sequence: BenchmarkSequence) -> NDArray[np.float64]:
    """(N,) the tracker's scores, NaN where there is none."""
    assert files.confidences is not None, "only long-term results have confidences"
    return np.array(read_confidences(files.confidences, len(sequence)))


def read_times(path: Path) -> NDArray[np.float64]:
    """(N,) seconds of the tracker's calls; of several runs, which share the lines, those of the first."""
    times = []
    for number, line in enumerate(read_lines(path), 1):
        try:
            times.append(float(line.partition(",")[0]))
        except ValueError as error:
            raise DataInvalid(f"{path}, line {number}: {line!r} is no number of seconds") from error
        if not 0 <= times[-1] < math.inf:
            raise DataInvalid(f"{path}, line {number}: {line!r} is no number of seconds from 0 on")
    return np.array(times, np.float64)


def frames_per_second(files: ResultFiles) -> float | None:
    """Frames a second of the tracker's calls after the first; None where no times were written."""
    if not files.times.is_file():
        return None
    times = read_times(files.times)[1:]
    followed = times[times > 0]
    return float(len(followed) / followed.sum()) if len(followed) else None


def write_archive(benchmark: Benchmark, folder: Path, sequences: Sequence[BenchmarkSequence], archive: Path) -> None:
    """A zip for the benchmark's server: GOT-10k's has boxes and times in a folder for each sequence, TrackingNet's has
    the boxes alone, all at its root. Raises DataInvalid unless every sequence is there with a box, and a time, for each
    frame: servers score what is missing as 0, and say nothing."""
    listed = [result_files(benchmark, folder, sequence.name) for sequence in sequences]
    if missing := [files.boxes for files in listed if not files.complete]:
        raise DataInvalid(f"{missing[0]}: is missing, as are {len(missing) - 1} more of {len(listed)} results")
    timed = benchmark.name == "got10k"
    for files, sequence in zip(listed, sequences, strict=True):
        read_result_boxes(files, sequence)
        if timed and (count := len(read_times(files.times))) != len(sequence):
            raise DataInvalid(f"{files.times}: {count} times for {len(sequence)} frames")
    with drafted(archive) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as packed:
        for files in listed:
            for path in (files.boxes, files.times) if timed else (files.boxes,):
                packed.write(path, path.relative_to(folder).as_posix())
