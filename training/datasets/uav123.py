"""UAV123 and UAV20L: `data_seq/UAV123/bird1/000001.jpg` and `anno/UAV123/bird1_1.txt`; folders are shared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from training.datasets.layout import Layout, Split
from training.datasets.textfiles import numbered_frames, read_numbers, read_table, sequence_track
from training.datasets.tracks import DataInvalid, Track

_SPLITS = {"uav123": Split(123, 112578), "uav20l": Split(20, 58670)}
_ANNO = {"uav123": "UAV123", "uav20l": "UAV20L"}


def _present(root: Path) -> list[str]:
    if not (root / "data_seq" / "UAV123").is_dir():
        return []
    return [split for split in _SPLITS if (root / "anno" / _ANNO[split]).is_dir()]


def _sequences(root: Path, split: str) -> list[str]:
    return [row[0] for row in read_table(f"{split}.txt")]


def _tracks(root: Path, split: str, name: str) -> Iterator[Track]:
    shared, first, last = next(row[1:] for row in read_table(f"{split}.txt") if row[0] == name)
    folder, truth = root / "data_seq" / "UAV123" / shared, root / "anno" / _ANNO[split] / f"{name}.txt"
    wanted = range(int(first), int(last) + 1)
    frames = numbered_frames(folder)
    if missing := [number for number in wanted if number not in frames]:
        raise DataInvalid(f"{folder}: frame {missing[0]:06d} is missing ({len(missing)} of {len(wanted)} are)")
    boxes = read_numbers(truth, (4,))
    chosen = {number: frames[number] for number in wanted}
    yield sequence_track("uav123", name, folder, chosen, boxes, truth=truth, scene=f"uav123/{shared}")


LAYOUT = Layout(
    "uav123",
    "UAV123 and UAV20L",
    "https://cemse.kaust.edu.sa/ivul/uav123 (Dataset_UAV123.zip; research only)",
    _SPLITS,
    (),
    lambda root: bool(_present(root)),
    _present,
    _sequences,
    _tracks,
    "both benchmarks use the 91 folders of data_seq/UAV123",
)
