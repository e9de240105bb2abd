"""Small data sets in the layouts that the official toolkits read, with odd cases, and disturbed results for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.drawing import Drawing, encoded
from training.benchmarks.protocols import Outcome
from training.benchmarks.regions import Region, start_box
from training.benchmarks.results import result_files, write_outcome
from training.benchmarks.sequences import BENCHMARKS, BenchmarkSequence
from training.benchmarks.supervised import SKIPPED
from training.benchmarks.trajectories import Code, code

SIZE = (320, 240)

Boxes = NDArray[np.float64]


def picture(path: Path, index: int = 0) -> None:
    """A drawn frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encoded(Drawing(width=SIZE[0], height=SIZE[1]).frame(index), ".jpg"))


def moving(count: int) -> Boxes:
    """The boxes of the drawing."""
    return np.array([Drawing(width=SIZE[0], height=SIZE[1]).box(index).xywh() for index in range(count)])


def write_rows(path: Path, rows: Boxes, separator: str = ",") -> None:
    """Two decimals, as most sets have; none where a number is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (separator.join("nan" if np.isnan(v) else f"{round(float(v), 2):g}" for v in row) for row in rows)
    path.write_text("".join(f"{line}\n" for line in lines))


def draw_otb(root: Path) -> Sequence[str]:
    """Three of its sequences: other separators, and a target at the very edge."""
    for number, (name, separator) in enumerate((("Basketball", "\t"), ("Boy", ","), ("Car4", " "))):
        boxes = moving(60 + 10 * number)
        if name == "Car4":
            boxes[20:25, 0] = -boxes[20:25, 2]
        write_rows(root / name / "groundtruth_rect.txt", boxes, separator)
        for index in range(len(boxes)):
            picture(root / name / "img" / f"{index + 1:04d}.jpg", index)
    return "Basketball", "Boy", "Car4"


def draw_uav123(root: Path) -> Sequence[str]:
    """The shortest part of a folder that several share, with the target out of view for a while."""
    for number in range(1075, 1526):
        picture(root / "data_seq" / "UAV123" / "person8" / f"{number:06d}.jpg", number - 1075)
    boxes = moving(451)
    boxes[100:140] = np.nan
    write_rows(root / "anno" / "UAV123" / "person8_2.txt", boxes)
    (root / "anno" / "UAV20L").mkdir()
    for name in ("more", "than", "three"):  # entries that the got10k package wants to see
        (root / name).mkdir()
    return ("person8_2",)


def draw_got10k(root: Path) -> Sequence[str]:
    """Validation: covered, absent, cut by the picture's edge, without size."""
    names = [f"GOT-10k_Val_{number:06d}" for number in (1, 2, 3)]
    for number, name in enumerate(names):
        folder, boxes = root / "val" / name, moving(50 + 5 * number)
        cover = np.full(len(boxes), 8)
        cover[10:20], boxes[30:33, 2:] = 0, 0
        boxes[40:45, 0] = SIZE[0] - 10
        write_rows(folder / "groundtruth.txt", boxes)
        for label, values in (("cover", cover), ("absence", cover == 0), ("cut_by_image", cover * 0)):
            (folder / f"{label}.label").write_text("".join(f"{int(value)}\n" for value in values))
        meta = f"[METAINFO]\nurl: none\nobject_class: square\nresolution: {SIZE}\n"
        (folder / "meta_info.ini").write_text(meta)
        for index in range(len(boxes)):
            picture(folder / f"{index + 1:08d}.jpg", index)
    (root / "val" / "list.txt").write_text("\n".join(names) + "\n")
    return names


def draw_vot(root: Path) -> Sequence[str]:
    """Turned polygons and upright boxes, long enough for the year's lengths, with tags."""
    counts = {"ants3": 400, "bag": 150, "conduction1": 260}
    for number, (name, count) in enumerate(counts.items()):
        boxes = moving(count)
        rows = boxes if name == "conduction1" else turned(boxes, 0.3 + number)
        write_rows(root / name / "groundtruth.txt", rows)
        (root / name / "occlusion.tag").write_text("0\n1\n1\n" * 20)
        draw_vot_frames(root / name, count)
    return finish_vot(root, counts)


def draw_votlt(root: Path) -> Sequence[str]:
    """Long-term: the target is away now and then."""
    counts = {"bird1": 150, "carchase": 230}
    for name, count in counts.items():
        boxes = moving(count)
        boxes[60:90] = np.nan
        write_rows(root / name / "groundtruth.txt", boxes)
        draw_vot_frames(root / name, count)
    return finish_vot(root, counts)


def draw_vot_frames(folder: Path, count: int) -> None:
    """Frames, and the file that says what is in the folder."""
    for index in range(count):
        picture(folder / "color" / f"{index + 1:08d}.jpg", index)
    (folder / "sequence").write_text("channels.color=color/%08d.jpg\nfps=30\nformat=default\n")


def finish_vot(root: Path, counts: Mapping[str, int]) -> Sequence[str]:
    """The list of sequences, and their names."""
    (root / "list.txt").write_text("\n".join(counts) + "\n")
    return tuple(counts)


def turned(boxes: Boxes, angle: float) -> Boxes:
    """(N, 8) the boxes, turned and a third narrower."""
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([0.7, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray((centres[:, None] + (corners @ turn.T) * boxes[:, None, 2:] / 2).reshape(len(boxes), 8))


def disturb(name: str, sequences: Sequence[BenchmarkSequence], folder: Path, rng: np.random.Generator) -> None:
    """Writes results that are the truth with noise, which is at times far off."""
    for sequence in sequences:
        outcome = supervised(sequence, rng) if name == "vot2018" else one_pass(sequence, rng)
        if name == "votlt":
            outcome.trajectory[0] = code(Code.INITIALIZED)
        write_outcome(result_files(BENCHMARKS[name], folder, sequence.name), outcome)


def one_pass(sequence: BenchmarkSequence, rng: np.random.Generator) -> Outcome:
    """Noise that grows and falls; where there is no truth the last box stays."""
    boxes = [np.array(sequence.truth[0])]
    for number in range(1, len(sequence)):
        true = sequence.truth[number] if np.isfinite(sequence.truth[number]).all() else boxes[-1]
        noise = rng.normal(0, 1 + 12 * abs(np.sin(number / 25)), 4) * (1, 1, 0.4, 0.4)
        boxes.append(np.maximum(true + noise, (-np.inf, -np.inf, 2, 2)))
    confidences = rng.uniform(0.05, 1, len(sequence))
    confidences[0] = np.nan
    return Outcome([np.array(box) for box in boxes], confidences, np.full(len(sequence), 0.01))


def supervised(sequence: BenchmarkSequence, rng: np.random.Generator) -> Outcome:
    """The same by the supervised protocol, with a failure about every eighty frames."""
    trajectory: list[Region] = [code(Code.UNKNOWN)] * len(sequence)
    start = 0
    for number in range(len(sequence)):
        if number == start:
            trajectory[number] = code(Code.INITIALIZED)
        elif number > start and rng.random() < 1 / 80:
            trajectory[number], start = code(Code.FAILED), number + SKIPPED
        elif number > start:
            trajectory[number] = start_box(sequence.regions[number]) + rng.normal(0, 4, 4) * (1, 1, 0.5, 0.5)
    return Outcome(trajectory, np.full(len(sequence), np.nan), np.full(len(sequence), 0.01))


DRAWN: Mapping[str, Callable[[Path], Sequence[str]]] = {
    "otb100": draw_otb,
    "uav123": draw_uav123,
    "got10k": draw_got10k,
    "vot2018": draw_vot,
    "votlt": draw_votlt,
}
"""Draws a data set and says which sequences it has, by the benchmark's name."""
