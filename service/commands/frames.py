"""Where `lockon track` gets its frames: a video, a folder of images, or a camera."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from models.runtimes.base import ByteArray
from service.commands.failures import CommandFailed

FOLDER_FPS = 25.0
"""Frame rate of a drawn video of images, which have none of their own."""


@dataclass(frozen=True, slots=True)
class Source:
    """Frames (H, W, 3) uint8 BGR, read one by one; they can be gone through once."""

    frames: Iterator[ByteArray]
    count: int | None
    """How many frames there are, where that is known."""
    fps: float
    is_camera: bool = False


def open_source(text: str) -> Source:
    """The source that the user named: a camera's number, or the path of a folder or a video."""
    if text.isdecimal():
        return _capture(int(text), f"camera {text}")
    path = Path(text)
    if path.is_dir():
        return _folder(path)
    if not path.is_file():
        raise CommandFailed(f"{path}: no such video or folder (a camera is given by its number)")
    return _capture(str(path), str(path))


def source_files(text: str) -> list[Path]:
    """The files that the source is read from; none for a camera."""
    if text.isdecimal():
        return []
    path = Path(text)
    return _frame_files(path) if path.is_dir() else [path]


def _frame_files(path: Path) -> list[Path]:
    from training.evaluation.sequences import FRAME_FOLDER, frame_paths

    # A sequence of an evaluation keeps its frames one level down.
    return frame_paths(path / FRAME_FOLDER if (path / FRAME_FOLDER).is_dir() else path)


def _folder(path: Path) -> Source:
    from training.evaluation.sequences import read_frame

    paths = _frame_files(path)
    return Source(map(read_frame, paths), len(paths), FOLDER_FPS)


def _capture(where: str | int, name: str) -> Source:
    capture = cv2.VideoCapture(where)
    if not capture.isOpened():
        raise CommandFailed(f"{name}: cannot be opened as a video")
    count, fps = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), capture.get(cv2.CAP_PROP_FPS)
    is_camera = isinstance(where, int)
    known_count = count if count > 0 and not is_camera else None
    return Source(_captured(capture), known_count, fps if 0 < fps <= 240 else FOLDER_FPS, is_camera)


def _captured(capture: cv2.VideoCapture) -> Iterator[ByteArray]:
    try:
        while True:
            found, frame = capture.read()
            if not found:
                return
            yield np.asarray(frame, np.uint8)
    finally:
        capture.release()
