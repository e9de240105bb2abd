"""Scores of a benchmark's result files: over all sequences, for each one, and for each attribute.

A metric's name says whose definition it is: `pysot.success` is the success score as pysot's toolkit computes it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from training.benchmarks import curves, longterm, supervised
from training.benchmarks.results import (
    frames_per_second,
    read_regions,
    read_result_boxes,
    read_result_confidences,
    result_files,
)
from training.benchmarks.sequences import Benchmark, BenchmarkSequence, Protocol
from training.datasets.tracks import DataInvalid
from training.evaluation.metrics import score

Metrics = dict[str, float]

DEFINITIONS: Mapping[str, str] = {
    "pysot.success": "mean over 21 thresholds 0 ... 1 of the share of all frames with IoU > threshold; a frame without "
    "the target is a miss",
    "pysot.precision": "share of all frames with a centre error of at most 20 px; a frame without the target is a hit",
    "pysot.normalized": "the same with the error divided by the true width and height, of at most 0.20",
    "got10k.success": "the got10k package's OTB and UAV123: as pysot.success over the frames with a true box",
    "got10k.precision": "share of the frames with a true box with a centre error of at most 20 px",
    "got10k.success_rate": "share of them with IoU > 0.5",
    "trackingnet.normalized": "mean over 51 thresholds 0 ... 0.5 of the share of frames with an error, divided by the "
    "true width and height, of at most the threshold; without the first frame and those without the target",
    "lockon.success": "as pysot.success, without the first frame and those without the target",
    "lockon.precision": "share of those frames with a centre error of at most 20 px",
    "got10k.ao": "mean IoU over all frames of all sequences but the first ones and those whose target is covered, "
    "boxes cut to the picture",
    "got10k.sr50": "share of those frames with IoU > 0.5",
    "got10k.sr75": "share of those frames with IoU > 0.75",
    "pysot.accuracy": "mean overlap in pixels over all frames but those up to ten after a start; of one sequence, over "
    "its frames",
    "pysot.robustness": "failures for 100 frames",
    "pysot.eao": "expected average overlap over the lengths of the year; zeros after a failure up to the next start",
    "vot.accuracy": "vot-toolkit: the same accuracy, a mean over sequences weighted by their lengths",
    "vot.robustness": "vot-toolkit: failures of a sequence, a mean weighted by the lengths",
    "vot.eao": "vot-toolkit: expected average overlap; zeros after a failure, however long",
    "pysot.f_score": "best F-score of any threshold of the confidence, of the means over sequences of precision, "
    "recall",
    "vot.f_score": "vot-toolkit: the same with its own choice of 100 thresholds",
}
"""What each metric is, in words. Precision and recall of the long-term score belong to its threshold."""

HEADLINES: Mapping[Protocol, str] = {
    Protocol.OPE: "pysot.success",
    Protocol.SUPERVISED: "pysot.accuracy",
    Protocol.LONG_TERM: "pysot.f_score",
}


@dataclass(frozen=True, slots=True)
class BenchmarkScores:
    """What a tracker scored. `overall` holds frames per second too, where times were written."""

    tracker: str
    headline: str
    """the metric by which sequences are ranked"""
    overall: Metrics
    sequences: dict[str, Metrics]
    attributes: dict[str, Metrics] = field(default_factory=dict)
    """by attribute; `sequences` or `frames` says how many have it"""
    curves: curves.Curves | None = None
    success_101: list[float] | None = None
    """GOT-10k's success curve"""

    @property
    def worst(self) -> list[str]:
        """The sequences' names, the lowest score first."""
        return sorted(self.sequences, key=lambda name: self.sequences[name].get(self.headline, 0.0))


def score_benchmark(
    benchmark: Benchmark, sequences: Sequence[BenchmarkSequence], folder: Path, tracker: str
) -> BenchmarkScores | None:
    """The scores of the result files in a tracker's folder; None where the truth is not published.

    Raises DataInvalid for results that are missing or do not fit their sequence."""
    if not any(sequence.has_truth for sequence in sequences):
        return None
    of_protocol: Mapping[Protocol, Callable[[], BenchmarkScores]] = {
        Protocol.OPE: lambda: _ope(benchmark, sequences, folder, tracker),
        Protocol.SUPERVISED: lambda: _supervised(benchmark, sequences, folder, tracker),
        Protocol.LONG_TERM: lambda: _long_term(benchmark, sequences, folder, tracker),
    }
    scores = of_protocol[benchmark.protocol]()
    speeds = [frames_per_second(result_files(benchmark, folder, each.name)) for each in sequences]
    if measured := [speed for speed in speeds if speed is not None]:
        scores.overall["fps"] = float(np.mean(measured))
    return scores


def _ope(benchmark: Benchmark, sequences: Sequence[BenchmarkSequence], folder: Path, tracker: str) -> BenchmarkScores:
    boxes = {each.name: read_result_boxes(result_files(benchmark, folder, each.name), each) for each in sequences}
    if benchmark.name == "got10k":
        return _got10k(sequences, boxes, tracker)
    flagged = benchmark.name == "lasot"
    listed = [
        curves.pysot_curves(boxes[each.name], each.truth, each.visible if flagged else None) for each in sequences
    ]
    per = {
        each.name: _ope_metrics(each, boxes[each.name], curve) for each, curve in zip(sequences, listed, strict=True)
    }
    return BenchmarkScores(
        tracker,
        "lockon.success" if benchmark.name == "folder" else HEADLINES[Protocol.OPE],
        _means(list(per.values())),
        per,
        _by_attribute(sequences, per),
        curves.mean_curves(listed),
    )


def _ope_metrics(sequence: BenchmarkSequence, boxes: curves.Floats, pysot: curves.Curves) -> Metrics:
    assert pysot.normalized is not None
    got10k = curves.got10k_curves(boxes, sequence.truth)
    seen = np.where(sequence.visible[:, None], sequence.truth, np.nan)
    try:
        own = score(boxes, seen)
    except ValueError as error:
        raise DataInvalid(f"{sequence.name}: {error}") from error
    return {
        "pysot.success": float(pysot.success.mean()),
        "pysot.precision": float(pysot.precision[curves.PRECISION_AT]),
        "pysot.normalized": float(pysot.normalized[curves.NORMALIZED_AT]),
        "got10k.success": float(got10k.success.mean()),
        "got10k.precision": float(got10k.precision[curves.PRECISION_AT]),
        "got10k.success_rate": float(got10k.success[curves.SUCCESS_AT]),
        "trackingnet.normalized": own.normalized_precision,
        "lockon.success": own.auc,
        "lockon.precision": own.precision20,
    }


def _got10k(
    sequences: Sequence[BenchmarkSequence], boxes: Mapping[str, curves.Floats], tracker: str
) -> BenchmarkScores:
    overlaps = {
        each.name: curves.got10k_overlaps(boxes[each.name], each.truth, each.visible, each.size) for each in sequences
    }
    pooled = np.concatenate(list(overlaps.values()))
    return BenchmarkScores(
        tracker,
        "got10k.ao",
        _got10k_metrics(pooled),
        {name: _got10k_metrics(each) for name, each in overlaps.items()},
        _got10k_attributes(sequences, overlaps),
        success_101=curves.success_of(pooled).tolist(),
    )


def _got10k_attributes(
    sequences: Sequence[BenchmarkSequence], overlaps: Mapping[str, curves.Floats]
) -> dict[str, Metrics]:
    """Of the scored frames that have a label, and of those of the sequences that have an attribute."""
    having: dict[str, list[curves.Floats]] = defaultdict(list)
    for each in sequences:
        rows, found = curves.got10k_rows(each.visible), overlaps[each.name]
        for tag, flags in each.tags.items():
            having[tag].append(found[flags[rows]])
        for attribute in each.attributes:
            having[attribute].append(found)
    pooled = {name: np.concatenate(parts) for name, parts in sorted(having.items())}
    return {name: {"frames": float(len(part)), **_got10k_metrics(part)} for name, part in pooled.items() if len(part)}


def _got10k_metrics(overlaps: curves.Floats) -> Metrics:
    return {
        "got10k.ao": float(overlaps.mean()),
        "got10k.sr50": float((overlaps > 0.5).mean()),
        "got10k.sr75": float((overlaps > 0.75).mean()),
    }


def _supervised(
    benchmark: Benchmark, sequences: Sequence[BenchmarkSequence], folder: Path, tracker: str
) -> BenchmarkScores:
    runs = [
        supervised.SupervisedRun(
            read_regions(result_files(benchmark, folder, each.name), each), each.regions, each.size
        )
        for each in sequences
    ]
    years = supervised.EAO_RANGES[benchmark.name]
    per = {each.name: _supervised_metrics([run], years) for each, run in zip(sequences, runs, strict=True)}
    counted = [supervised.pysot_accuracies(run) for run in runs]
    attributes: dict[str, Metrics] = {}
    for tag in sorted({tag for each in sequences for tag in each.tags}):
        flags = [each.tags[tag] for each in sequences]
        tagged = np.concatenate([values[flag] for values, flag in zip(counted, flags, strict=True)])
        if np.isfinite(tagged).any():
            attributes[tag] = {
                "frames": float(len(tagged)),
                "pysot.accuracy": float(np.nanmean(tagged)),
                "pysot.eao": supervised.pysot_eao(runs, years, flags),
            }
    return BenchmarkScores(tracker, HEADLINES[Protocol.SUPERVISED], _supervised_metrics(runs, years), per, attributes)


def _supervised_metrics(runs: Sequence[supervised.SupervisedRun], years: tuple[int, int]) -> Metrics:
    pysot, vot = supervised.pysot_scores(runs, years), supervised.vot_scores(runs, years)
    return {
        "pysot.accuracy": pysot.accuracy,
        "pysot.robustness": pysot.robustness,
        "pysot.eao": pysot.eao,
        "vot.accuracy": vot.accuracy,
        "vot.robustness": vot.robustness,
        "vot.eao": vot.eao,
        "failures": float(pysot.failures),
    }


def _long_term(
    benchmark: Benchmark, sequences: Sequence[BenchmarkSequence], folder: Path, tracker: str
) -> BenchmarkScores:
    runs = []
    for each in sequences:
        files = result_files(benchmark, folder, each.name)
        confidences = read_result_confidences(files, each)
        runs.append(longterm.LongTermRun(read_regions(files, each), confidences, each.regions, each.size))
    per = {each.name: _long_term_metrics([run]) for each, run in zip(sequences, runs, strict=True)}
    tagged: dict[str, list[longterm.LongTermRun]] = defaultdict(list)
    for each, run in zip(sequences, runs, strict=True):
        for tag, flags in each.tags.items():
            if flags.any():
                tagged[tag].append(run)
    attributes = {
        tag: {"sequences": float(len(having)), **_long_term_metrics(having)} for tag, having in sorted(tagged.items())
    }
    return BenchmarkScores(tracker, HEADLINES[Protocol.LONG_TERM], _long_term_metrics(runs), per, attributes)


def _long_term_metrics(runs: Sequence[longterm.LongTermRun]) -> Metrics:
    named = {"pysot": longterm.pysot_scores(runs), "vot": longterm.vot_scores(runs)}
    return {
        f"{toolkit}.{name}": getattr(scores, name)
        for toolkit, scores in named.items()
        for name in ("precision", "recall", "f_score")
    }


def _means(metrics: Sequence[Metrics]) -> Metrics:
    return {name: float(np.mean([each[name] for each in metrics])) for name in metrics[0]}


def _by_attribute(sequences: Sequence[BenchmarkSequence], per: Mapping[str, Metrics]) -> dict[str, Metrics]:
    attributes = {}
    for name in sorted({name for each in sequences for name in each.attributes}):
        having = [per[each.name] for each in sequences if name in each.attributes]
        attributes[name] = {"sequences": float(len(having)), **_means(having)}
    return attributes
