"""Sequences on disk: `NAME/img/*.jpg` and `NAME/groundtruth.txt`, one x, y, w, h per frame."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from models.geometry import Box
from models.runtimes.base import ByteArray
from training.evaluation.metrics import scored_frames

TRUTH_FILE = "groundtruth.txt"
FRAME_FOLDER = "img"
META_FILE = "meta.json"
USUAL_FPS = 25.0
"""Frames per second of a sequence that does not say."""
FRAME_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
FRAME_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
"""Boxes are drawn on the pixels as stored, so a camera's orientation tag must not turn the frame."""


class SequenceInvalid(ValueError):
    """A folder is no sound sequence; the message names the file and the line."""


class Clip(Protocol):
    """What a tracker is run over: frames and the (N, 4) true boxes, NaN where the target is absent."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def truth(self) -> NDArray[np.float64]:
        """(N, 4) x, y, w, h in pixels, one for each frame."""

    @property
    def fps(self) -> float:
        """Frames per second."""

    @property
    def first_box(self) -> Box:
        """The box that a tracker is started with."""

    def frames(self) -> Iterator[ByteArray]:
        """The frames in order, (H, W, 3) uint8 BGR, made one by one."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """One sequence: its frames' paths in order and the (N, 4) true boxes, NaN where the target is absent."""

    name: str
    frame_paths: tuple[Path, ...]
    truth: NDArray[np.float64]
    fps: float = USUAL_FPS

    @property
    def first_box(self) -> Box:
        """The box that a tracker is started with."""
        return Box(*map(float, self.truth[0]))

    def frames(self) -> Iterator[ByteArray]:
        """The decoded frames in order, (H, W, 3) uint8 BGR, read one by one."""
        return map(read_frame, self.frame_paths)


def read_sequences(folder: Path) -> list[Sequence]:
    """Every sequence in `folder`, sorted by name; or the one that `folder` is."""
    if not folder.is_dir():
        raise SequenceInvalid(f"{folder}: no such folder")
    if (folder / TRUTH_FILE).is_file():
        return [read_sequence(folder)]
    found = sorted((path.parent for path in folder.glob(f"*/{TRUTH_FILE}")), key=lambda path: path.name)
    if not found:
        raise SequenceInvalid(f"{folder}: holds neither {TRUTH_FILE} nor folders with one")
    return [read_sequence(path) for path in found]


def read_sequence(folder: Path) -> Sequence:
    """The sequence in `folder`; raises SequenceInvalid when frames and boxes do not fit each other."""
    frames = tuple(frame_paths(folder / FRAME_FOLDER))
    truth_path = folder / TRUTH_FILE
    truth = read_boxes(truth_path)
    if len(frames) != len(truth):
        raise SequenceInvalid(f"{truth_path}: {len(truth)} boxes, but {folder / FRAME_FOLDER} has {len(frames)} frames")
    if np.isnan(truth[0]).any() or (truth[0, 2:] <= 0).any():
        raise SequenceInvalid(f"{truth_path}, line 1: the first box must have numbers and a width and height above 0")
    if not scored_frames(truth).any():
        raise SequenceInvalid(f"{truth_path}: no frame after the first has a box: nothing to score")
    # A link has its own name: what it leads to may be another sequence, too.
    name = folder.resolve().name if folder.name in ("", "..") else folder.name
    return Sequence(name, frames, truth, _fps(folder / META_FILE))


def frame_paths(folder: Path) -> list[Path]:
    """The images in `folder`, in the order of the numbers in their names (2.jpg before 10.jpg)."""
    if not folder.is_dir():
        raise SequenceInvalid(f"{folder}: no such folder")
    images = [p for p in folder.iterdir() if p.suffix.lower() in FRAME_SUFFIXES and not p.name.startswith(".")]
    if not images:
        raise SequenceInvalid(f"{folder}: holds no images ({', '.join(FRAME_SUFFIXES)})")
    return sorted(images, key=_by_number)


def read_frame(path: Path) -> ByteArray:
    """(H, W, 3) uint8 BGR, grey images too; raises SequenceInvalid if the file is no image."""
    frame = cv2.imread(str(path), FRAME_FLAGS)
    if frame is None:
        raise SequenceInvalid(f"{path}: cannot be read as an image")
    return np.asarray(frame, np.uint8)


def read_boxes(path: Path) -> NDArray[np.float64]:
    """(N, 4) boxes of a text file with one box per line, four numbers apart by commas, blanks or tabs; nan allowed."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise SequenceInvalid(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SequenceInvalid(f"{path}: is no text file: {error}") from error
    rows = [_box_row(path, number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise SequenceInvalid(f"{path}: holds no boxes")
    return np.array(rows, np.float64)


def write_boxes(path: Path, boxes: NDArray[np.float64]) -> None:
    """One x,y,w,h per line with four decimals: as exact as the 1e-3 px to which trackers are compared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(",".join(f"{value:.4f}" for value in box) + "\n" for box in boxes), encoding="utf-8")


def _fps(path: Path) -> float:
    """`fps` of the sequence's meta.json, where there is one and it says so."""
    if not path.is_file():
        return USUAL_FPS
    try:
        fps = json.loads(path.read_text(encoding="utf-8")).get("fps")
    except (ValueError, AttributeError) as error:
        raise SequenceInvalid(f"{path}: is no JSON object: {error}") from error
    if fps is None:
        return USUAL_FPS
    if not isinstance(fps, int | float) or not 0 < fps <= 1000:
        raise SequenceInvalid(f"{path}: fps is {fps!r}; expected a number above 0")
    return float(fps)


def _box_row(path: Path, number: int, line: str) -> list[float]:
    where = f"{path}, line {number}"
    try:
        row = [float(field) for field in re.split(r"\s*,\s*|\s+", line.strip())]
    except ValueError as error:
        raise SequenceInvalid(f"{where}: {line.strip()!r} is not four numbers") from error
    if len(row) != 4:
        raise SequenceInvalid(f"{where}: expected four numbers x,y,w,h, got {len(row)}")
    if np.isinf(row).any():
        raise SequenceInvalid(f"{where}: {line.strip()!r} is not finite")
    return row


def _by_number(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.findall(r"\d+|\D+", path.stem)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], path.name
