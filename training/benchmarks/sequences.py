"""The sequences of each benchmark: frames, truth as the data set has it, what its toolkits need, and attributes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.runtimes.base import ByteArray
from training.benchmarks.attributes import read_attributes
from training.benchmarks.regions import Bounds, Region
from training.benchmarks.trajectories import Code, code
from training.datasets import got10k, lasot, otb, trackingnet, uav123, vot
from training.datasets.layout import Layout
from training.datasets.textfiles import read_flags
from training.datasets.tracks import DataInvalid, Files, Track, picture_size
from training.evaluation.sequences import USUAL_FPS, Sequence, read_frame, read_sequences

Flags = NDArray[np.bool_]


class Protocol(StrEnum):
    """How a benchmark drives a tracker."""

    OPE = "one-pass"
    SUPERVISED = "supervised"
    LONG_TERM = "long-term"


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark. `layout` is None for plain folders of sequences, whose splits have no names."""

    name: str
    layout: Layout | None
    splits: tuple[str, ...]
    """Which of the layout's splits are for evaluation; the first that is there is taken if none is named."""
    protocol: Protocol = Protocol.OPE


BENCHMARKS: Mapping[str, Benchmark] = {
    each.name: each
    for each in (
        Benchmark("otb100", otb.LAYOUT, ("otb100", "otb50", "otb2013")),
        Benchmark("uav123", uav123.LAYOUT, ("uav123", "uav20l")),
        Benchmark("lasot", lasot.LAYOUT, ("test", "ext")),
        Benchmark("trackingnet", trackingnet.LAYOUT, ("test",)),
        Benchmark("got10k", got10k.LAYOUT, ("test", "val")),
        Benchmark("vot2018", vot.LAYOUT, ("vot2018", "vot"), Protocol.SUPERVISED),
        Benchmark("vot2019", vot.LAYOUT, ("vot2019", "vot"), Protocol.SUPERVISED),
        Benchmark("votlt", vot.LAYOUT, ("vot", "vot2018", "vot2019"), Protocol.LONG_TERM),
        Benchmark("folder", None, ("",)),
    )
}


@dataclass(frozen=True, slots=True, eq=False)
class BenchmarkSequence:
    """One target of one film."""

    name: str
    frame_paths: tuple[Path, ...]
    truth: NDArray[np.float64]
    """(N, 4) x, y, w, h with the numbers of the data set; NaN where it gives none"""
    visible: Flags
    """(N,) whether the set says that the target can be seen"""
    regions: tuple[Region, ...]
    """(N) the truth as VOT has it, polygons and boxes, a code where there is none"""
    size: Bounds
    """width and height of the frames"""
    fps: float = USUAL_FPS
    attributes: frozenset[str] = frozenset()
    tags: Mapping[str, Flags] = field(default_factory=dict)
    """(N,) by name: attributes of single frames"""

    def __len__(self) -> int:
        """How many frames."""
        return len(self.frame_paths)

    @property
    def has_truth(self) -> bool:
        """Whether more than the first box is published."""
        return bool(np.isfinite(self.truth[1:]).any())

    @property
    def digest(self) -> str:
        """Tells the data from any other of that name: how many frames of which file names, size and rate, and what is
        true of them. Not the pixels: reading all of them takes too long."""
        names = "\n".join(path.name for path in self.frame_paths)
        told = hashlib.blake2b(f"{self.size} {self.fps} {len(self)}\n{names}\n".encode(), digest_size=8)
        told.update(b"".join(region.astype("<f8").tobytes() + b"\n" for region in self.regions))
        return told.hexdigest()

    def frame(self, number: int) -> ByteArray:
        """(H, W, 3) uint8 BGR."""
        return read_frame(self.frame_paths[number])


def read_benchmark(
    benchmark: Benchmark, root: Path, split: str | None = None, only: Collection[str] = ()
) -> tuple[str, list[BenchmarkSequence]]:
    """The split, and its sequences in the data set's own order; of `only`, if names are given, and no others are looked
    at. Raises DataInvalid for what is missing or broken."""
    if benchmark.layout is None:
        plain = read_sequences(root)
        chosen = _chosen([sequence.name for sequence in plain], only)
        return "", [_plain(sequence) for sequence in plain if sequence.name in chosen]
    if not root.is_dir():
        raise DataInvalid(f"{root}: no such folder")
    if split is not None and split not in benchmark.splits:
        raise DataInvalid(f"{benchmark.name} has no split {split!r}; it has {', '.join(benchmark.splits)}")
    wanted = benchmark.splits if split is None else (split,)
    present = benchmark.layout.present(root)
    found = next((name for name in wanted if name in present), None)
    if found is None:
        lacking = f"{benchmark.layout.title}, split {' or '.join(wanted)}"
        raise DataInvalid(f"{root}: holds no {lacking}; its publisher: {benchmark.layout.publisher}")
    listed = benchmark.layout.sequences(root, found)
    if twice := [name for name, count in Counter(listed).items() if count > 1]:
        raise DataInvalid(f"{root}: two sequences are named {twice[0]!r}; their results would share a file")
    names = _chosen(listed, only)
    tracks = (track for name in names for track in benchmark.layout.tracks(root, found, name))
    return found, [_sequence(benchmark, root, found, track) for track in tracks]


def _chosen(names: list[str], only: Collection[str]) -> list[str]:
    if unknown := sorted(set(only) - set(names)):
        raise DataInvalid(f"no sequence {unknown[0]!r}; there are {', '.join(names)}")
    return [name for name in names if not only or name in only]


def _sequence(benchmark: Benchmark, root: Path, split: str, track: Track) -> BenchmarkSequence:
    assert isinstance(track.pictures, Files), "benchmarks are published as files"
    paths = tuple(track.pictures.path(int(number)) for number in track.numbers)
    count, folder = len(track), track.pictures.folder
    attributes, tags, visible = read_attributes(track.source, split, root, track.name), {}, track.visible
    if benchmark.layout is vot.LAYOUT:
        own = root / track.name
        names = vot.tag_names(own) if benchmark.protocol is Protocol.LONG_TERM else vot.TAGS
        tags = vot.read_tags(own, count, names)
    elif benchmark.layout is got10k.LAYOUT and split == "val":
        attributes, tags = got10k.read_attributes(folder), got10k.read_tags(folder, count)
        visible = _covered(folder, count)
    return BenchmarkSequence(
        track.name,
        paths,
        track.boxes,
        visible,
        tuple(_region(row) for row in (track.boxes if track.polygons is None else track.polygons)),
        picture_size(track.pictures, int(track.numbers[0])),
        attributes=attributes,
        tags=tags,
    )


def _covered(folder: Path, count: int) -> Flags:
    """GOT-10k scores a frame by its cover label alone."""
    return np.asarray(read_flags(folder / "cover.label", count, largest=8) > 0)


def _region(row: NDArray[np.float64]) -> Region:
    return code(Code.UNKNOWN) if np.isnan(row).any() else row


def _plain(sequence: Sequence) -> BenchmarkSequence:
    height, width = read_frame(sequence.frame_paths[0]).shape[:2]
    return BenchmarkSequence(
        sequence.name,
        sequence.frame_paths,
        sequence.truth,
        np.asarray(np.isfinite(sequence.truth).all(axis=1), np.bool_),
        tuple(_region(row) for row in sequence.truth),
        (width, height),
        sequence.fps,
        read_attributes("folder", "", sequence.frame_paths[0].parent.parent, sequence.name),
    )
